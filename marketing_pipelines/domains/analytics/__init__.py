"""Marketing events and everything counted from them.

Owns the schema `analytics`, the event lake and `warehouse.duckdb`. Every domain writes events
through `events.insert_events`; analysts read the aggregates.
"""

SCHEMA = "analytics"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"campaigns", "lifecycle"})
WRITES: frozenset[str] = frozenset({"ops"})
