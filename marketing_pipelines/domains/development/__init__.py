"""A sample job for developers; its schedule is on in development only."""

# Schemas that its SQL reads and writes.
READS: frozenset[str] = frozenset({"crm"})
WRITES: frozenset[str] = frozenset()
