"""Connections of organizations to other systems, and the jobs that read from these systems.

Owns the schema `integrations`. Other domains read a connection through `connections`; jobs call its
system by the one client of `http`, in the frame of `syncs`, which notes how it went. Analysts see
states, never settings or secrets. The assets of the jobs are named after the rows that they write.
"""

SCHEMA = "integrations"
READS = frozenset({"crm", "delivery", "ops"})
WRITES = frozenset({"crm"})
