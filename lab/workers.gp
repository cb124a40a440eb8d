colours = "#0072b2 #d55e00 #009e73"
modes = "shared exclusive reuseport"
set title "How many clients does the busiest of four workers get?"
set yrange [0:105]
set ytics 25
set ylabel "% of the clients"
set xrange [-0.5:2.5]
set xtics ("1 client asks" 0, "8 clients ask" 1, "clients stay" 2) scale 0
set key at screen 0.5, 0.06 center bottom horizontal Left reverse samplen 1
set bmargin 5
set boxwidth 0.24
set arrow from -0.5,25 to 2.5,25 nohead dt 2 lw 2 lc rgb grey front
place(m, load) = load + (m - 2) * 0.26
plot for [m = 1:3] file every ::m::m using (place(m, 0)):2 with boxes \
    lc rgb word(colours, m) title word(modes, m), \
  for [m = 1:3] file every ::m::m using (place(m, 1)):5 with boxes \
    lc rgb word(colours, m) notitle, \
  for [m = 1:3] file every ::m::m using (place(m, 2)):8 with boxes \
    lc rgb word(colours, m) notitle, \
  for [m = 1:3] file every ::m::m using (place(m, 0)):2:3:4 with yerrorbars \
    pt 0 lw 2 lc rgb "#333333" notitle, \
  for [m = 1:3] file every ::m::m using (place(m, 1)):5:6:7 with yerrorbars \
    pt 0 lw 2 lc rgb "#333333" notitle, \
  for [m = 1:3] file every ::m::m using (place(m, 2)):8:9:10 with yerrorbars \
    pt 0 lw 2 lc rgb "#333333" notitle

set output base."-waits.svg"
set title "How long does a client wait if each request burns 2 ms?"
unset arrow
set bmargin 4
set key inside top left vertical Left reverse samplen 2 spacing 1.3
set xrange [0:100]
set xtics 0, 25, 100 scale 1
set xlabel "% of the requests that are quicker"
set yrange [0:*]
set ytics auto
set ylabel "ms until the response"
of(mode) = "< grep '^" . mode . "' '" . base . "-waits.tsv'"
plot for [m = 1:3] of(word(modes, m)) using 2:3 with lines lw 4 \
    lc rgb word(colours, m) title word(modes, m)
