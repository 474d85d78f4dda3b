"""Webhooks out: events of an organization sent to the endpoints that it names, signed.

Owns the schema `webhooks`: endpoints, and one delivery per endpoint and event. Events come from the
bus; receivers verify the signatures of Standard Webhooks.
"""

SCHEMA = "webhooks"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"actions", "crm", "lifecycle", "ops"})
# The examples of its page are rows of `crm` that are rolled back.
WRITES: frozenset[str] = frozenset({"crm"})
