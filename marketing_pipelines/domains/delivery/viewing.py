"""A mail shown again: its stored content, filled in with the fields of the contact."""

from importlib import resources

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.composing import fields_of
from marketing_pipelines.domains.delivery.footers import link_fields, with_footer
from marketing_pipelines.domains.delivery.links import Links
from marketing_pipelines.domains.delivery.rendering import MessageError, fill_in
from marketing_pipelines.domains.delivery.text_parts import with_both_parts


def viewed(connection: sa.Connection, message_id: int, links: Links) -> str | None:
    """The HTML of the mail; None: it is gone, is no mail, or cannot be filled in any more."""
    folder = resources.files(__package__) / "sql" / "consent"
    statement = sa.text((folder / "stored_content.sql").read_text(encoding="utf-8"))
    row = connection.execute(statement, {"message_id": message_id}).first()
    if row is None or row.channel != "email" or not isinstance(row.content, dict):
        return None
    fields = fields_of(row, row.variables) | link_fields(message_id, links)
    try:
        content = fill_in(with_footer(with_both_parts(row.content)), fields)
    except MessageError:
        return None
    return str(content["html"])
