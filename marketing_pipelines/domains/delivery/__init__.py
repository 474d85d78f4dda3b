"""Messages: each one row, which is the intent to send and the place in the queue at once.

Owns the schema `delivery`. Programs write messages; applications and analysts read how they ended.
"""

SCHEMA = "delivery"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"analytics", "crm", "integrations", "lifecycle", "ops"})
WRITES: frozenset[str] = frozenset({"analytics", "crm"})
