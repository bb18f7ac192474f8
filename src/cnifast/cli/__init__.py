"""The command line, and the entries that plugin binaries start an interpreter with."""
