# The ratios, not the microseconds: the median of the ratios of each round need
# not be the ratio of the medians.
set title "What does a request cost in each step?"
stats file every ::1 using 5 nooutput
set yrange [STATS_records + 0.6:0.4]
set xrange [0:*]
set xlabel "processor time per request, as a multiple of ex3's"
set ytics scale 0
unset grid
set grid x lw 1 lc rgb "#dddddd"
set lmargin 34
set rmargin 8
set bars 0.6
colour(name) = name eq "nginx" ? 0xd55e00 : 0x0072b2
plot file every ::1 using 5:($0 + 1):(0):5:($0 + 0.65):($0 + 1.35): \
    (colour(stringcolumn(1))):ytic(stringcolumn(1).": ".stringcolumn(9)) \
    with boxxyerror lc rgb variable, \
  file every ::1 using 5:($0 + 1):6:7 \
    with xerrorbars pt 0 lw 2 lc rgb "#333333", \
  file every ::1 using 7:($0 + 1):(sprintf("%.2f", $5)) \
    with labels left offset 0.7,0 tc rgb "#333333"
