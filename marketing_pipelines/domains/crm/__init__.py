"""Organizations, their users, and the people and companies they sell to.

Owns the schema `crm`. Every other domain refers to these rows by `bigint` id; files and
applications refer to them by `external_id`, unique per organization.
"""

SCHEMA = "crm"
# Schemas beyond its own that its SQL reads and writes; indexes of contacts call a function of
# `delivery`.
READS: frozenset[str] = frozenset({"delivery", "ops"})
WRITES: frozenset[str] = frozenset()
