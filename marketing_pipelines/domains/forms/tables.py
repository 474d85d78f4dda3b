"""Tables of the schema `forms`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import FOR_EVER, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    organization_id,
)


def _names(name: str, comment: str) -> sa.Column[list[str]]:
    return sa.Column(
        name,
        pg.ARRAY(sa.Text),
        nullable=False,
        server_default=sa.text("'{}'::text[]"),
        comment=comment,
    )


forms = sa.Table(
    "forms",
    metadata,
    identity("Form number"),
    organization_id(),
    sa.Column(
        "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
    ),
    sa.Column("name", sa.Text, comment="Display name"),
    sa.Column("spreadsheet_id", sa.Text, nullable=False, comment="Id in the address of the sheet"),
    sa.Column("sheet", sa.Text, nullable=False, comment="Title of the sheet's tab"),
    sa.Column(
        "header_row",
        sa.Integer,
        nullable=False,
        server_default=sa.text("1"),
        comment="Row with the names of the columns; submissions stand below it",
    ),
    json_object(
        "mapping",
        "Column of the sheet → column or attribute of the contact, or an object (column, overwrite,"
        " type)",
    ),
    _names("key_columns", "Columns that identify a submission; empty = all mapped ones"),
    sa.Column(
        "connection_id",
        sa.BigInteger,
        sa.ForeignKey("integrations.connections.id", ondelete="set null"),
        comment="Connection to Google; null = it was removed, and the sheet is not read",
    ),
    sa.Column(
        "backfill",
        sa.Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="True if the first reading publishes events too",
    ),
    sa.Column(
        "enabled",
        sa.Boolean,
        nullable=False,
        server_default=sa.true(),
        comment="False if the sheet is not read",
    ),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint("header_row between 1 and 1000", name="header_row"),
    sa.Index("ix_forms_connection_id", "connection_id"),
    info=owned(keep=FOR_EVER),
    schema="forms",
    comment="Forms whose answers stand in a sheet",
)

readings = sa.Table(
    "readings",
    metadata,
    sa.Column(
        "form_id",
        sa.BigInteger,
        sa.ForeignKey("forms.forms.id", ondelete="cascade"),
        primary_key=True,
        autoincrement=False,
        comment="Form",
    ),
    instant(
        "first_tick",
        "Tick of the first reading, of another sheet too; null = the sheet was never read",
    ),
    instant("last_tick", "Tick of the latest reading"),
    instant("tried_at", "Latest tick that tried to read the sheet", nullable=False),
    sa.Column("rows", sa.Integer, comment="Rows with a submission at the latest reading"),
    sa.Column("error", sa.Text, comment="Why the latest try failed; null = it did not"),
    sa.Column("spreadsheet_id", sa.Text, comment="Spreadsheet of the latest reading"),
    sa.Column("sheet", sa.Text, comment="Tab of the latest reading"),
    json_object("mapping", "Mapping of the latest reading"),
    _names("key_columns", "Key columns of the latest reading"),
    info=owned(keep=FOR_EVER, mentions=("error",)),
    schema="forms",
    comment="Standing of the readings of each form's sheet",
)

submissions = sa.Table(
    "submissions",
    metadata,
    identity("Submission number"),
    organization_id(),
    sa.Column(
        "form_id",
        sa.BigInteger,
        sa.ForeignKey("forms.forms.id"),
        nullable=False,
        comment="Form",
    ),
    sa.Column(
        "identity",
        sa.Text,
        nullable=False,
        comment="SHA-256 of the values of its key columns, else of all mapped ones",
    ),
    sa.Column("row_hash", sa.Text, nullable=False, comment="SHA-256 of all values of its row"),
    sa.Column("position", sa.Integer, nullable=False, comment="Row of the sheet, from 1"),
    sa.Column(
        "copies",
        sa.Integer,
        nullable=False,
        comment="Rows with its identity at the latest reading that had any",
    ),
    sa.Column("contact_id", sa.BigInteger, sa.ForeignKey("crm.contacts.id"), comment="Contact"),
    json_object("data", "Values of its row by column; a removed column keeps its last value"),
    instant(
        "submitted_at",
        "The instant of the column that is mapped to it, else the tick of the first reading",
        nullable=False,
    ),
    instant("first_seen_at", "Tick that read it first", nullable=False),
    instant("missing_since", "First tick without its row; null = the sheet has it"),
    sa.Column("reason", sa.Text, comment="Why it has no contact; null = it has one"),
    sa.UniqueConstraint("form_id", "identity"),
    sa.Index("ix_submissions_contact_id", "contact_id"),
    sa.Index("ix_submissions_organization_id_submitted_at", "organization_id", "submitted_at"),
    # Both hashes stay: by them the next reading recognizes the row, and takes nothing from it.
    info=owned(keep=FOR_EVER, person=Person(by="contact_id", erase="empty", mask=("data",))),
    schema="forms",
    comment="Submissions of forms, one row for each identity",
)
