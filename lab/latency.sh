#!/usr/bin/env bash
# A request, and a response in two small sends, again and again on one
# connection: plain, with TCP_CORK, with TCP_NODELAY, with both. Prints how many
# milliseconds such an exchange takes.
. "$(dirname "$0")/common.bash"
claim 'Two small sends stall for 40 ms; TCP_CORK or TCP_NODELAY cures it'
each=$out/latency-each.tsv
lab/exchange.py "$(small 2 1)" "$(small 50 20)" >"$each"

new_table mode 'median ms' least greatest
cut -f 1,4 "$each" | lab/summary.py 1 >>"$tsv"
table

plain=$(cell 2 plain) cork=$(cell 2 cork) nodelay=$(cell 2 nodelay)
confirmed_if "$plain >= 30 and $cork < 10 and $nodelay < 10" \
  "an exchange takes $plain ms plain, $cork ms with TCP_CORK, $nodelay ms with
TCP_NODELAY"
