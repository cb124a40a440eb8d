# How every picture looks: large enough for a projector. Its background is white
# on a dark page, too. lab/draw.bash sets base and the_title.
file = base.".tsv"
set output base.".svg"
set datafile separator "\t"
set terminal svg size 1200,675 font "Helvetica,24" background "#ffffff"
# Without this, TCP_CORK would have its C below the line.
set termoption noenhanced
set title the_title font ",28" offset 0,0.3
set border 3 lw 1.5 lc rgb "#555555"
set tics nomirror out textcolor rgb "#333333"
set grid y lw 1 lc rgb "#dddddd"
unset key
set lmargin 11
set rmargin 6
set tmargin 3.5
set bmargin 4
# People who see few colours can tell these apart, also in grey.
blue = "#0072b2"
orange = "#d55e00"
green = "#009e73"
grey = "#888888"
set style fill solid 0.9 noborder
set boxwidth 0.7
