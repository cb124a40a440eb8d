# For its tests: the server behind the proxy.
APPENDIX_TOOLS += $(O)ex4
NEEDS_appendix += python3 ab
