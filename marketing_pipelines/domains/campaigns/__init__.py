"""Campaigns and their contacts.

Owns the schema `campaigns`. Analytics reads the status timestamps and the enrolments.
"""

SCHEMA = "campaigns"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"analytics", "crm", "delivery", "lifecycle", "ops", "segments"})
WRITES: frozenset[str] = frozenset({"delivery", "lifecycle"})
