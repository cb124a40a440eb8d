servers = "plain nodelay cork gather nginx"
colours = "#888888 #009e73 #0072b2 #000000 #d55e00"
server(i) = sprintf("< grep '^%s' '%s'", word(servers, i), file)
set multiplot layout 1,2 title the_title font ",28"
set lmargin 6
set rmargin 2
set logscale xy
set xrange [0.9:70.4]
set xtics (1, 4, 16, 64)
set xlabel "requests in flight on each connection"
set title "thousand requests per second" font ",24"
set ytics (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
plot for [i = 1:5] server(i) \
    using 2:3:4:5 with yerrorlines pt 7 ps 1 lw 3 lc rgb word(colours, i)
set title "processor time per request, in microseconds"
set ytics (0.2, 0.5, 1, 2, 5, 10, 20, 50)
set yrange [0.05:*]
set key bottom left Left reverse samplen 2
plot for [i = 1:5] server(i) \
    using 2:($6 / 1000) with linespoints pt 7 ps 1 lw 3 lc rgb word(colours, i) \
    title word(servers, i)
