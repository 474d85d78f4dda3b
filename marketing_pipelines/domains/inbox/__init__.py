"""Mail of connected mailboxes: what came, by which contact, and what follows from it."""
