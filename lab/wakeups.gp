set style data histograms
set style histogram clustered gap 1
set boxwidth 0.9
set yrange [0:*]
set offsets 0, 0, graph 0.15, 0
set ylabel "per request of 6 KB"
set key top left Left reverse samplen 1.5
set bmargin 4.5
text(n, pieces) = n . "\n" . pieces . (pieces eq "one" ? " piece" : " pieces")
plot file every ::1 using 3:xtic(text(stringcolumn(1), stringcolumn(2))) \
    lc rgb blue title "epoll_wait returns", \
  '' every ::1 using 6 lc rgb green title "recv is called", \
  '' every ::1 using 9 lc rgb orange title "recv ends in EAGAIN", \
  '' every ::1 using ($0 - 0.25):3:3 with labels offset 0, 0.7 notitle, \
  '' every ::1 using ($0):6:6 with labels offset 0, 0.7 notitle, \
  '' every ::1 using ($0 + 0.25):9:9 with labels offset 0, 0.7 notitle
