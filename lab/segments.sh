#!/usr/bin/env bash
# usage: segments.sh
#
# A response in two small sends: plain, with TCP_CORK, with TCP_NODELAY, with
# both. Prints how many segments leave at once, and how many in all.
. "$(dirname "$0")/common.bash"
need gnuplot column
claim 'TCP_CORK bottles small messages up; TCP_NODELAY sends each at once'
exchanges "$(small 3 1)" "$(small 10 5)"

# of COLUMN MODE: median, least and greatest.
of() { numbers "$work/exchanges" "$2" "$1" | summary; }

new_table mode sends 'segments at once' range 'in all' range
for mode in plain cork nodelay both; do
  read -r once fewest_once most_once < <(of 6 "$mode")
  read -r all fewest most < <(of 5 "$mode")
  row "$mode" 2 "$once" "$fewest_once-$most_once" "$all" "$fewest-$most"
done
table

picture <<'END'
set datafile separator "\t"
set style data histograms
set style histogram rowstacked
set boxwidth 0.6
set yrange [0:3]
set ytics 1
set ylabel "segments per response of two sends"
set key top center horizontal samplen 1.5
plot file every ::1 using 3:xtic(1) lc rgb blue title "sent at once", \
  '' every ::1 using ($5 - $3) lc rgb orange title "sent later"
END

read -r cork _ < <(of 5 cork)
read -r nodelay _ < <(of 6 nodelay)
read -r plain _ < <(of 6 plain)
read -r plain_all _ < <(of 5 plain)
confirmed_if "$cork == 1 && $nodelay == 2 && $plain < 2" \
  "TCP_CORK sends $cork segment, TCP_NODELAY $nodelay at once; plain, $plain at
once of $plain_all"
