"""Rehearsals: a program goes through its next days in a database of its own, with nobody mailed.

Copies the program and some of its contacts into a scratch database, where the functions of the step
engine, of segments and of the gate run with the clock set from one due instant to the next.
"""

# Schemas that its SQL reads and writes, of the scratch database and of the one that it copies.
READS: frozenset[str] = frozenset(
    {"analytics", "campaigns", "crm", "delivery", "journey", "lifecycle", "segments", "webhooks"}
)
WRITES: frozenset[str] = frozenset({"analytics"})
