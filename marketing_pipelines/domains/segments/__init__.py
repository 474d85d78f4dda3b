"""Owns segments: rules, the statements they become, and their members with dates. Campaigns and
journeys branch on memberships; analysts read how segments grow, shrink and overlap."""

SCHEMA = "segments"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"analytics", "campaigns", "crm", "lifecycle", "ops"})
WRITES: frozenset[str] = frozenset({"analytics"})
