"""Jobs for developers, whose schedules are on in development only."""

# Schemas that its SQL reads and writes.
READS: frozenset[str] = frozenset({"analytics", "crm"})
WRITES: frozenset[str] = frozenset({"analytics"})
