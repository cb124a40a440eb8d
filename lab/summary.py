#!/usr/bin/env python3
"""Summarizes what was measured: median, least and greatest.

usage: summary.py KEYS [NAME]

Each line of stdin is one measurement: KEYS words that name what was measured,
then numbers, or "-" where there is none. Prints a line for each name, in the
order in which the names appear, with a tab between cells: the name, then the
median, the least and the greatest of each number. With NAME, the same of the
first number's ratio to NAME's: of the first line of both, the second of both.
"""
import statistics
import sys


def three_digits(number):
    """The number as 1180 or 0.0143: with three digits, without an exponent."""
    return f"{float(f'{number:.3g}'):.15g}"


def summary(values):
    if not values:
        return ["-"] * 3
    return [three_digits(f(values)) for f in (statistics.median, min, max)]


keys = int(sys.argv[1])
measured = {}
for line in sys.stdin:
    words = line.split()
    numbers = [None if word == "-" else float(word) for word in words[keys:]]
    measured.setdefault(" ".join(words[:keys]), []).append(numbers)

for name, rounds in measured.items():
    cells = name.split()
    for column in zip(*rounds):
        cells += summary([value for value in column if value is not None])
    if len(sys.argv) > 2:
        others = measured[sys.argv[2]]
        cells += summary([a[0] / b[0] for a, b in zip(rounds, others)])
    print(*cells, sep="\t")
