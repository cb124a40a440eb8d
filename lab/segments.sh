#!/usr/bin/env bash
# A response in two small sends: plain, with TCP_CORK, with TCP_NODELAY, with
# both. Prints how many segments leave at once, and how many in all.
. "$(dirname "$0")/common.bash"
claim 'TCP_CORK bottles small messages up; TCP_NODELAY sends each at once'
lab/exchange.py "$(small 3 1)" "$(small 10 5)" >"$results"

new_table mode 'segments at once' least greatest 'in all' least greatest
awk '{ print $1, $6, $5 }' "$results" | lab/summary.py 1 >>"$tsv"
table

cork=$(cell 5 cork) nodelay=$(cell 2 nodelay) plain=$(cell 2 plain)
confirmed_if "$cork == 1 and $nodelay == 2 and $plain < 2" \
  "TCP_CORK sends $cork segment, TCP_NODELAY $nodelay at once; plain, $plain at
once of $(cell 5 plain)"
