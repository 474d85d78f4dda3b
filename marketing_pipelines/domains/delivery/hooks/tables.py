"""The table of events that providers report of messages, in the schema `delivery`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import Keep, Person, owned
from marketing_pipelines.stores.tables import identity, instant, json_object, metadata

message_events = sa.Table(
    "message_events",
    metadata,
    identity("Row number"),
    sa.Column(
        "provider", sa.Text, nullable=False, comment="sendgrid, mailgun and so on; own = our links"
    ),
    sa.Column(
        "provider_event_id", sa.Text, nullable=False, comment="Id by which the event counts once"
    ),
    sa.Column("token", sa.Text, comment="Token of the call that brought it, which counts once"),
    sa.Column(
        "message_id", sa.BigInteger, comment="Message that it is about; null = none was found"
    ),
    sa.Column(
        "type",
        sa.Text,
        nullable=False,
        comment="delivered, opened, clicked, bounced, complained, unsubscribed, resubscribed, "
        "failed, noted (changes nothing) or unread (cannot be read)",
    ),
    sa.Column("recipient", sa.Text, comment="Address, as the provider writes it"),
    sa.Column("reason", sa.Text, comment="Words of the provider, or why it cannot be read"),
    instant("occurred_at", "When it happened; null = the provider does not say"),
    instant("received_at", "When it arrived", nullable=False),
    instant("applied_at", "When it took effect; null = its message is not found or not settled"),
    json_object("reading", "Fields that were read from the payload"),
    sa.Column("payload", pg.JSONB, nullable=False, comment="Element as the provider sent it"),
    sa.UniqueConstraint("provider", "provider_event_id"),
    sa.Index(
        "uq_message_events_token",
        "provider",
        "token",
        unique=True,
        postgresql_where=sa.text("token is not null"),
    ),
    sa.Index("ix_message_events_message_id", "message_id"),
    sa.Index(
        "ix_message_events_lost",
        "received_at",
        postgresql_where=sa.text("applied_at is null and message_id is null"),
    ),
    sa.Index(
        "ix_message_events_early",
        "message_id",
        postgresql_where=sa.text("applied_at is null and message_id is not null"),
    ),
    sa.Index(
        "ix_message_events_complained",
        "received_at",
        "message_id",
        postgresql_where=sa.text("type = 'complained'"),
    ),
    sa.Index("ix_message_events_unread", "provider", postgresql_where=sa.text("type = 'unread'")),
    sa.Index("ix_message_events_received_at", "received_at"),
    info=owned(
        keep=Keep("received_at", days=400),
        person=Person(
            by="message_id",
            of="delivery.messages",
            addresses=("recipient",),
            erase="empty",
            mask=("recipient", "reason", "reading", "payload"),
        ),
    ),
    schema="delivery",
    comment="Events of messages as providers report them, each once",
)
