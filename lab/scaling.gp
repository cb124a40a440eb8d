# Two pictures, each of two panels. From column first on, the table has median,
# least and greatest of three servers. A logarithmic axis has no 0, so 0 gets a
# place of its own, left of a break.
set datafile missing "-"
set logscale x
place(silent) = silent > 0 ? silent : 30
set xrange [22:15000]
set xtics ("0" 30, "100" 100, "1,000" 1000, "10,000" 10000)
set xlabel "silent clients"
set label 1 "//" at 55, graph 0 center front textcolor rgb "#333333"
set tmargin at screen 0.80
set bmargin at screen 0.26
color(i) = i == 1 ? 0xd55e00 : i == 2 ? 0x0072b2 : 0x009e73
at(i) = first + 3 * (i - 1)
rows(asking) = sprintf("< awk '$1 == %s' '%s'", asking, file)

do for [what in "costs rates"] {
  first = 3
  set yrange [8:50000]
  set logscale y
  set ytics ("10" 10, "100" 100, "1,000" 1000, "10,000" 10000)
  set ylabel "microseconds per request" offset 1
  if (what eq "rates") {
    first = 12
    unset logscale y
    set yrange [0:*]
    set ytics autofreq
    set format y "%.0f"
    set ylabel "requests per second" offset 1
    set output base."-rates.svg"
    the_title = "Requests per second beside silent clients"
  }
  set key at screen 0.5, 0.01 center bottom vertical maxrows 1 samplen 2
  set multiplot title the_title font ",28" offset 0, -0.3
  do for [asking in "1 50"] {
    left = asking == 1 ? 0.14 : 0.62
    set lmargin at screen left
    set rmargin at screen left + 0.35
    set title asking == 1 ? "1 client asks" : "50 clients ask" offset 0, -0.4
    if (asking == 50) { unset ylabel; unset key }
    plot for [i = 1:3] rows(asking) using (place($2)):(column(at(i))): \
      (column(at(i) + 1)):(column(at(i) + 2)) \
      with yerrorlines lw 4 dt 1 + (i == 1) pt 2 * i + 3 lc rgb color(i) \
      title word("select poll epoll", i)
  }
  unset multiplot
}
