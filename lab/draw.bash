#!/usr/bin/env bash
# usage: draw.bash NAME [FOLDER]
#
# Draws FOLDER/NAME.svg (default: lab/figures) from the table FOLDER/NAME.tsv, as
# lab/style.gp and lab/NAME.gp say. Its title is the claim, from NAME.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

base=${2:-lab/figures}/$1 quote="'"
title=$(sed -n "s/^== $1: //p" "$base.txt")
exec gnuplot -e "base = '${base//$quote/$quote$quote}'; the_title = '$title'" \
  lab/style.gp "lab/$1.gp"
