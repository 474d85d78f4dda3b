"""Scheduled actions: applications ask for something at an instant, or again and again.

Owns the schema `actions`: the actions, the routes that lead them to jobs and tasks, and a row for
each time that a route took one. Applications and operators ask, see and cancel.
"""

SCHEMA = "actions"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"crm"})
WRITES: frozenset[str] = frozenset()
