#!/usr/bin/env bash
# usage: cost.sh
#
# Prints how many microseconds of processor time a request costs in ex2 to ex6,
# in nginx, and in the least that a server can do; and how many KiB of memory a
# client costs that has sent half a request, in ex3 and nginx.
. "$(dirname "$0")/common.bash"
need ab curl gnuplot column
. lab/nginx.bash
[ -r /proc/self/schedstat ] || give_up "this kernel has no /proc/PID/schedstat"

claim 'What does a request cost in each step, and what a silent client?'
rounds=$(small 9 2)
requests=$(small 5000 100)
silent=$(small 1000 50)
servers=(floor ex2 ex3 ex4 ex5 ex6 nginx)
does "In $rounds rounds ab sends $requests requests to each server by turns,
50 at a time, each on a connection of its own. What counts is the processor time
of the server, the kernel's work for it included. floor only accepts, receives,
sends and closes; ex2 to ex6 also print each request, to /dev/null here; nginx
has one worker and no log. Then $silent clients send half a request and wait."

# load: ab's requests to the server at $port.
load() {
  local said status=0
  said=$(timeout 20 ab -q -n "$requests" -c 50 "http://127.0.0.1:$port/" \
    2>&1) || status=$?
  if ((status > 0)) || grep -q 'Non-2xx' <<<"$said" ||
    ! grep -q "^Complete requests: *$requests\$" <<<"$said" ||
    ! grep -q '^Failed requests: *0$' <<<"$said"; then
    give_up "ab, at $server_name:" \
      "$(grep -m 1 -E 'Failed.* [1-9]|Non-2xx|apr_' <<<"$said" ||
        grep '^Complete' <<<"$said" || tail -n 1 <<<"$said")"
  fi
}

# serve NAME: starts that server. Sets $port, and $pid, the process that serves.
serve() {
  case $1 in
    floor) start build/floor ;;
    nginx) start_nginx ;;
    *) start "./$1" ;;
  esac
  if [ "$1" = nginx ]; then pid=$worker; else pid=$server; fi
}

declare -A at_port process kib
for server_name in "${servers[@]}"; do
  serve "$server_name"
  at_port[$server_name]=$port
  process[$server_name]=$pid
done

for ((round = 1; round <= rounds; round++)); do
  progress "round $round of $rounds"
  for server_name in "${servers[@]}"; do
    port=${at_port[$server_name]}
    before=$(cpu "${process[$server_name]}") || give_up "$server_name has ended"
    load
    after=$(cpu "${process[$server_name]}") || give_up "$server_name has ended"
    ((after > before)) || give_up "$server_name has used no processor time"
    echo "$server_name $((after - before))" >>"$work/cpu"
  done
done

# memory: KiB of the process $pid.
memory() { awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status"; }
holds_all() { (($(find "/proc/$pid/fd" -mindepth 1 | wc -l) > silent)); }

for server_name in ex3 nginx; do
  progress "$server_name: $silent silent clients"
  # Anew, for those above have memory left over from their clients; and asked
  # once, so that what the first client costs is not counted.
  serve "$server_name"
  curl -s -o "$work/answer" --max-time 5 "http://127.0.0.1:$port/" ||
    give_up "$server_name does not answer"
  before=$(memory)
  build/client -n "$silent" "$port" send 'GET / HT' wait \
    >"$work/client" 2>&1 &
  pids+=($!)
  client=$!
  if ! wait_for grep -q '^ready' "$work/client" || ! wait_for holds_all; then
    give_up "$server_name has no $silent clients: $(tail -n 1 "$work/client")"
  fi
  # It has accepted the last, and may not have read from it yet.
  sleep 0.3
  kib[$server_name]=$(awk "BEGIN { print ($(memory) - $before) / $silent }" |
    three)
  stop "$client"
done

new_table server us/request least greatest 'of nginx' least greatest \
  'KiB/silent client'
for server_name in "${servers[@]}"; do
  read -r median least greatest < <(numbers "$work/cpu" "$server_name" |
    awk -v n="$requests" '{ print $1 / n / 1000 }' | summary)
  read -r ratio least_ratio greatest_ratio < <(ratios "$work/cpu" \
    "$server_name" nginx | summary)
  row "$server_name" "$median" "$least" "$greatest" "$ratio" "$least_ratio" \
    "$greatest_ratio" "${kib[$server_name]:--}"
done
table

picture 'What does a request cost in each step?' <<'END'
set style fill solid 0.9
set yrange [7.6:0.4]
set xrange [0:*]
set xlabel "microseconds of processor time per request: median, least, greatest"
set ytics scale 0 offset 0.5
unset grid
set grid x lw 1 lc rgb "#dddddd"
set lmargin 21
set rmargin 13
set bars 0.6
what = "floor 'bare loop' ex2 blocking ex3 level-triggered ex4 edge-triggered \
  ex5 TCP_CORK ex6 TCP_NODELAY nginx 'one worker'"
tic(i) = word(what, 2 * int(i) + 1).": ".word(what, 2 * int(i) + 2)
colour(name) = name eq "floor" ? 0x888888 : \
  name eq "nginx" ? 0xd55e00 : 0x0072b2
beside(name, ratio) = name eq "nginx" ? "" : sprintf("%.2f of nginx", ratio)
plot file every ::1 using 2:($0 + 1):(0):2:($0 + 0.65):($0 + 1.35): \
    (colour(stringcolumn(1))):ytic(tic($0)) \
    with boxxyerror lc rgb variable, \
  file every ::1 using 2:($0 + 1):3:4 \
    with xerrorbars pt 0 lw 2 lc rgb "#333333", \
  file every ::1 using 4:($0 + 1):(beside(stringcolumn(1), column(5))) \
    with labels left offset 0.7,0 tc rgb "#333333"
END

# ratio NAME: what it costs in nginx's.
ratio() { awk -v name="$1" '$1 == name { print $5 }' "$tsv"; }
near='' far='' least=$(ratio ex3) greatest=$(ratio ex3)
for server_name in ex2 ex3 ex4 ex5 ex6; do
  ratio=$(ratio "$server_name")
  if holds "$ratio >= 0.9 && $ratio <= 1.1"; then
    near+=", $server_name ($ratio)"
  else
    far+=", $server_name ($ratio)"
  fi
  if [ "$server_name" = ex2 ]; then continue; fi
  if holds "$ratio < $least"; then least=$ratio; fi
  if holds "$ratio > $greatest"; then greatest=$ratio; fi
done
near=${near:-, none}
dearest=$(awk "BEGIN { print $greatest / $least }" | three)
verdict measured "within 10 % of nginx: ${near#, }${far:+; not: ${far#, }}; of
ex3 to ex6 the dearest costs $dearest times the cheapest; a silent client takes
${kib[ex3]} KiB in ex3 and ${kib[nginx]} KiB in nginx."
