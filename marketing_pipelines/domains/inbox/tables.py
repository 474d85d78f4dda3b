"""Tables of the schema `inbox`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import EMPTIED, FOR_EVER, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    metadata,
    one_of,
    organization_id,
)

DIRECTIONS = ("in", "out")
# From the narrowest to the widest.
SHARES = ("metadata", "subject", "full")


def _connection_id() -> sa.Column[int]:
    return sa.Column(
        "connection_id",
        sa.BigInteger,
        sa.ForeignKey("integrations.connections.id", ondelete="cascade"),
        primary_key=True,
        autoincrement=False,
        comment="Connection of the mailbox",
    )


def _folder() -> sa.Column[str]:
    return sa.Column("folder", sa.Text, primary_key=True, comment="Name of the folder")


def _uidvalidity(*, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(
        "uidvalidity",
        sa.BigInteger,
        primary_key=primary_key,
        nullable=False,
        autoincrement=False,
        comment="Generation of the folder's numbers of mails (UIDVALIDITY)",
    )


def _flag(name: str, comment: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false(), comment=comment)


def _list(name: str, kind: str, comment: str) -> sa.Column[object]:
    types = {"text": sa.Text, "bigint": sa.BigInteger}
    return sa.Column(
        name,
        pg.ARRAY(types[kind]),
        nullable=False,
        server_default=sa.text(f"'{{}}'::{kind}[]"),
        comment=comment,
    )


mailboxes = sa.Table(
    "mailboxes",
    metadata,
    _connection_id(),
    instant("cut_off_at", "Mail that arrived before is not read", nullable=False),
    instant("connected_at", "First tick that read it", nullable=False),
    info=owned(keep=FOR_EVER),
    schema="inbox",
    comment="Mailboxes that were read at least once",
)

cursors = sa.Table(
    "cursors",
    metadata,
    _connection_id(),
    _folder(),
    _uidvalidity(),
    sa.Column(
        "highest_uid",
        sa.BigInteger,
        nullable=False,
        comment="All mail from `lowest_uid` up to this number (UID) is read",
    ),
    sa.Column(
        "lowest_uid", sa.BigInteger, nullable=False, comment="Lowest number that is read so far"
    ),
    _flag("complete", "True if everything since the mailbox's `cut_off_at` is read"),
    info=owned(keep=FOR_EVER),
    schema="inbox",
    comment="Progress of reading in each folder of a mailbox",
)

email_messages = sa.Table(
    "email_messages",
    metadata,
    identity("Mail number"),
    organization_id(),
    sa.Column(
        "identity",
        sa.Text,
        nullable=False,
        comment="Hash of Message-ID, date and sender; without Message-ID of the mail itself",
    ),
    sa.Column("message_id", sa.Text, comment="Message-ID; null = the mail has none"),
    sa.Column("thread_id", sa.BigInteger, comment="Number of the earliest mail of its thread"),
    sa.Column("in_reply_to", sa.Text, comment="Message-ID of the mail that it answers"),
    _list("reference_ids", "text", "Message-IDs that In-Reply-To and References name"),
    sa.Column("from_address", sa.Text, comment="Address of the sender, normalised"),
    _list("to_addresses", "text", "Addresses in To, normalised"),
    _list("cc_addresses", "text", "Addresses in Cc, normalised"),
    sa.Column("subject", sa.Text, comment="Subject; null = not shared"),
    sa.Column("text", sa.Text, comment="Text, up to 200,000 characters; null = not shared"),
    sa.Column("reply", sa.Text, comment="The text without quotations; null = not shared"),
    sa.Column("snippet", sa.Text, comment="Begin of the text; null = not shared"),
    instant("sent_at", "When it was sent, as its header says"),
    instant("received_at", "When it arrived on the server (INTERNALDATE)", nullable=False),
    sa.Column(
        "direction",
        sa.Text,
        comment="in: from a contact; out: from the owner or an internal address; null = neither",
    ),
    _list("contact_ids", "bigint", "Contacts among sender and recipients"),
    _flag("is_auto_reply", "True if a program answered it"),
    _flag("is_bounce", "True if it reports that a mail was not delivered"),
    _flag("malformed", "True if sender or recipients cannot be read"),
    sa.Column(
        "attachments",
        pg.JSONB,
        nullable=False,
        server_default=sa.text("'[]'::jsonb"),
        comment="Type and size of each attachment, its name where `share` is full",
    ),
    sa.Column("raw_path", sa.Text, comment="File in `MARKETING_FILES_URL`; null = none is kept"),
    sa.Column("content_hash", sa.Text, comment="SHA-256 of the mail as it was read"),
    sa.Column(
        "share", sa.Text, nullable=False, comment="The most that its mailboxes share of a mail"
    ),
    sa.UniqueConstraint("organization_id", "identity"),
    sa.CheckConstraint(one_of("direction", DIRECTIONS), name="direction"),
    sa.CheckConstraint(one_of("share", SHARES), name="share"),
    sa.Index("ix_email_messages_message_id", "organization_id", "message_id"),
    sa.Index("ix_email_messages_thread_id", "thread_id"),
    sa.Index("ix_email_messages_received_at", "organization_id", "received_at"),
    sa.Index("ix_email_messages_reference_ids", "reference_ids", postgresql_using="gin"),
    sa.Index("ix_email_messages_contact_ids", "contact_ids", postgresql_using="gin"),
    sa.Index(
        "ix_email_messages_raw_path",
        "received_at",
        postgresql_where=sa.text("raw_path is not null"),
    ),
    info=owned(
        keep=FOR_EVER,
        person=Person(
            by="contact_ids",
            addresses=("from_address", "to_addresses", "cc_addresses"),
            erase="delete",
        ),
    ),
    schema="inbox",
    comment="Mail with contacts, from connected mailboxes; one row for a mail, wherever it lies",
)

message_places = sa.Table(
    "message_places",
    metadata,
    _connection_id(),
    _folder(),
    _uidvalidity(primary_key=True),
    sa.Column(
        "uid",
        sa.BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="Number of the mail in the folder (UID)",
    ),
    sa.Column(
        "message_id",
        sa.BigInteger,
        sa.ForeignKey("inbox.email_messages.id", ondelete="cascade"),
        comment="Stored mail; null = the mail is not stored",
    ),
    sa.Index(
        "ix_message_places_message_id",
        "message_id",
        postgresql_where=sa.text("message_id is not null"),
    ),
    # The place stays, so that the mail is not fetched again.
    info=owned(
        keep=FOR_EVER,
        person=Person(
            by="message_id",
            of="inbox.email_messages",
            erase="empty",
            mask=("message_id",),
            export=False,
        ),
    ),
    schema="inbox",
    comment="Places of mails in folders; those of former generations are removed",
)

raw_files = sa.Table(
    "raw_files",
    metadata,
    sa.Column("path", sa.Text, primary_key=True, comment="File in `MARKETING_FILES_URL`"),
    organization_id(),
    sa.Column(
        "identity",
        sa.Text,
        nullable=False,
        comment="`identity` of the mail in it, whose row names the file once it is committed",
    ),
    info=owned(keep=EMPTIED),
    schema="inbox",
    comment="Raw mail that is being written; files that no row names afterwards are removed",
)
