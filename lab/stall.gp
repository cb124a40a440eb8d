set yrange [6.6:-0.6]
set xrange [0:*]
set xlabel "milliseconds: from the first half of a request to the answer"
set ytics scale 0
unset grid
set grid x lw 1 lc rgb "#dddddd"
set lmargin 16
set rmargin 14
place(n) = n + (n > 2)
end(first, last) = last > first + 10 ? last : first + 10
plot file every ::1 using 3:(place($0)):3:(end($3, $4)): \
    (place($0) - 0.35):(place($0) + 0.35): \
    (stringcolumn(1) eq "ex2" ? 0xd55e00 : 0x0072b2): \
    ytic(stringcolumn(1)." client ".stringcolumn(2)) \
    with boxxyerror lc rgb variable, \
  file every ::1 using 4:(place($0)):(sprintf("  %d ms", $5)) with labels left
