"""Benchmarks: `make bench`.  What they found is in docs/benchmarks.md."""
