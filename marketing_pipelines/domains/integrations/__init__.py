"""Connections of organizations to other systems, and the one client that calls them by HTTP.

Owns the schema `integrations`. Other domains read a connection through `connections` and note how
its synchronization went through `syncs`; analysts see states, never settings or secrets.
"""

SCHEMA = "integrations"
READS: frozenset[str] = frozenset({"crm"})
