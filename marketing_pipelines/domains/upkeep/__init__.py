"""Removing what is no longer kept. Owns no tables."""

# Schemas that its SQL reads and writes.
READS: frozenset[str] = frozenset()
WRITES: frozenset[str] = frozenset()
