"""Scores of contacts and opportunities, computed from events, activities and rules.

Owns the schema `leads`. A score is a function of events and an instant; the nightly jobs store it,
and other jobs compute it for their own ticks. Lifecycle stages move by rules on these scores.
"""

SCHEMA = "leads"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"analytics", "campaigns", "crm", "delivery", "lifecycle", "ops"})
WRITES: frozenset[str] = frozenset({"crm", "lifecycle"})
