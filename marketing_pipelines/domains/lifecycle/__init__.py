"""The step engine: enrolments of contacts in programs, and their moves from step to step.

Owns the schema `lifecycle`. Programs are campaigns, sequences and journeys, which their own domains
keep; the engine knows them by kind and number.
"""

SCHEMA = "lifecycle"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"analytics", "crm", "delivery", "ops", "segments", "webhooks"})
WRITES: frozenset[str] = frozenset({"crm", "delivery", "webhooks"})
