"""Exports: rows of an organization written to a file that a signed link gives out.

Owns the schema `exports`. Applications and operators ask for exports and read how they go; the
files stand at `MARKETING_FILES_URL` for some days. Reads the tables of the kinds that it exports.
"""

SCHEMA = "exports"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset(
    {"analytics", "campaigns", "crm", "delivery", "lifecycle", "ops", "segments"}
)
WRITES: frozenset[str] = frozenset({"delivery"})
