"""Operation of the other domains: runs for stale partitions, alerts for failures, health."""

# Schemas that its SQL reads and writes.
READS: frozenset[str] = frozenset({"ops"})
WRITES: frozenset[str] = frozenset({"ops"})
