# fuzz.py, a part of its tests.
NEEDS_appendix += python3
