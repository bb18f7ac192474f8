"""Benchmarks of cnifast against its alternatives; see README.md."""
