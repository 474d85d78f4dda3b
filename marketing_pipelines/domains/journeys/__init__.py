"""Journeys: programs that contacts enter by a trigger.

Owns the schema `journey`. The step engine moves their executions; applications read them.
"""

SCHEMA = "journey"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"analytics", "crm", "lifecycle", "segments"})
WRITES: frozenset[str] = frozenset({"lifecycle"})
