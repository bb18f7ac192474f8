"""The CNI protocol without any I/O: what enters and leaves is an argument or a return value.

Nothing here opens a file, a socket or a namespace, and nothing imports the C core, so every
rule can be tested with bytes alone.  Everything is on the cold path of a plugin: only modules
of the standard library that cost next to nothing may be imported.
"""
