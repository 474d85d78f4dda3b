"""Removal of rows, runs and finished tasks that are no longer kept.

Owns `ops.retention`. The rule of each table stands next to its columns (`stores.ownership`).
"""

# Schemas that its SQL reads and writes.
READS = frozenset({"inbox", "integrations", "ops"})
WRITES = frozenset({"inbox", "ops"})
