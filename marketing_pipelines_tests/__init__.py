"""Tests mirror the package; `faults/` holds what is killed, `benchmarks/` what is measured."""
