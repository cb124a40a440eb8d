set logscale y
set yrange [0.1:60000]
set xrange [-0.5:*]
set ytics ("0.1" 0.1, "1" 1, "10" 10, "100" 100, "1,000" 1000)
set ylabel "milliseconds" offset 1
set xlabel "backlog, and above: how many of 2000 requests took 1 s or more" \
  offset 0, -0.7
set bmargin 5
set rmargin 20
set key outside right center Left reverse samplen 1.5 spacing 1.4
tic(text) = text eq "SOMAXCONN" ? "SOMAX-\nCONN" : text
plot file every ::1 using 0:4:xtic(tic(stringcolumn(1))) \
    with linespoints lw 4 pt 7 lc rgb orange title "longest", \
  '' every ::1 using 0:3 with linespoints lw 4 pt 5 dt 2 lc rgb blue \
    title "99 % below", \
  '' every ::1 using 0:2 with linespoints lw 4 pt 9 lc rgb green \
    title "median", \
  '' every ::1 using 0:9 with linespoints lw 3 pt 1 dt 3 lc rgb grey \
    title "longest in ab", \
  '' every ::1 using 0:(20000):5 with labels textcolor rgb orange notitle
