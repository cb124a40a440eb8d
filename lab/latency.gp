set logscale y
set yrange [0.005:200]
set ytics ("0.01" 0.01, "0.1" 0.1, "1" 1, "10" 10, "100" 100)
set xrange [0:51]
set ylabel "ms until the whole response"
set xlabel "exchanges on one connection, one after the other"
set rmargin 17
set key outside right center Left reverse samplen 0.5 spacing 1.5
of(mode) = "< grep '^" . mode . "' '" . base . "-each.tsv'"
plot of("nodelay") using 3:4 pt 9 ps 0.7 lc rgb green title "TCP_NODELAY", \
  of("cork") using 3:4 pt 5 ps 0.5 lc rgb blue title "TCP_CORK", \
  of("plain") using 3:4 pt 7 ps 0.7 lc rgb orange title "plain"
