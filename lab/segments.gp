set style data histograms
set style histogram rowstacked
set boxwidth 0.6
set yrange [0:3]
set ytics 1
set ylabel "segments per response of two sends"
set key top center horizontal samplen 1.5
plot file every ::1 using 2:xtic(1) lc rgb blue title "sent at once", \
  '' every ::1 using ($5 - $2) lc rgb orange title "sent later"
