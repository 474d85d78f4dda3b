"""Marketing events and everything counted from them.

Owns the schema `analytics`, the event lake and `warehouse.duckdb`. Bus events about contacts become
events of their activity here; analysts read the aggregates.
"""

SCHEMA = "analytics"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"campaigns", "crm", "lifecycle", "ops"})
WRITES: frozenset[str] = frozenset({"ops"})
