"""Daily assistance of users who sell: stale deals, briefs of meetings, insights of each day.

Owns the schema `sales`. Users read its rows through notifications and pages, analysts by SQL.
"""

SCHEMA = "sales"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"analytics", "campaigns", "crm", "delivery", "ops"})
WRITES: frozenset[str] = frozenset({"crm"})
