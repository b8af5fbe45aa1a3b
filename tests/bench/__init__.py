"""Benchmarks: `make bench`.  What they found is in docs/benchmarks.md."""

import sys
from pathlib import Path

# What the tests of two rooms use is used here too; they are no packages.
sys.path += [str(Path(__file__).parent.parent / room) for room in ("store", "sync")]
