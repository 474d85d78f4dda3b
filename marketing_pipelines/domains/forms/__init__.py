"""Forms whose answers stand in Google Sheets: the sheets are read, their rows become submissions.

Owns the schema `forms`. Contacts get the values of submissions, and the bus `form.submitted`;
users see forms and their readings on a page, analysts the submissions without their answers.
"""

SCHEMA = "forms"
# Schemas beyond its own that its SQL reads and writes.
READS: frozenset[str] = frozenset({"crm", "delivery", "integrations", "ops"})
WRITES: frozenset[str] = frozenset({"crm"})
