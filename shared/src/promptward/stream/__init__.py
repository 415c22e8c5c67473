"""Response streams: framing, incremental redaction, and the guard that joins them.

The law (docs/adr/0004): for every way of cutting the input into chunks the output bytes are the
same and equal the whole-body result; retained bytes stay under a declared bound.
"""
