"""Mail of connected mailboxes: read over IMAP, stored where it is about contacts, told to others.

Owns the schema `inbox`. Readers are the timeline of contacts, triggers of programs by the events
`email.received`, `email.replied` and `email.forwarded`, and the states of messages that bounced.
Raw mail lies in files; analysts see neither subjects, texts nor addresses.
"""

SCHEMA = "inbox"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"crm", "delivery", "ops"})
WRITES: frozenset[str] = frozenset({"crm"})
