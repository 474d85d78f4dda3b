"""The table of templates, in the schema `delivery`."""

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.tables import MESSAGE_KINDS
from marketing_pipelines.stores.ownership import FOR_EVER, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    metadata,
    one_of,
    organization_id,
)

# Channels whose messages have texts.
CHANNELS = ("email", "sms", "push")

templates = sa.Table(
    "templates",
    metadata,
    identity("Template number"),
    organization_id(),
    sa.Column("external_id", sa.Text, nullable=False, comment="Name in steps and requests"),
    sa.Column(
        "channel", sa.Text, nullable=False, server_default="email", comment=", ".join(CHANNELS)
    ),
    sa.Column(
        "kind",
        sa.Text,
        nullable=False,
        server_default="marketing",
        comment="marketing or transactional",
    ),
    sa.Column(
        "category", sa.Text, comment="Category of its messages; null = the organization's default"
    ),
    sa.Column("subject", sa.Text, comment="Subject of a mail"),
    sa.Column("title", sa.Text, comment="Title of a notification"),
    sa.Column("text", sa.Text, comment="Text; null = made from the HTML"),
    sa.Column("html", sa.Text, comment="HTML of a mail"),
    sa.Column(
        "from",
        sa.Text,
        comment="Sending domain of its mails, or an address of one; null = the default domain",
    ),
    sa.Column(
        "priority",
        sa.Integer,
        nullable=False,
        server_default=sa.text("0"),
        comment="Higher first among the messages of a lane, -100 to 100",
    ),
    sa.Column(
        "valid_for",
        sa.Text,
        comment="Time after which a message is not sent any more, 0 = for ever; null = as the "
        "organization's delivery.valid_for says",
    ),
    instant("updated_at", "Latest change", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint(one_of("channel", CHANNELS), name="channel"),
    sa.CheckConstraint(one_of("kind", MESSAGE_KINDS), name="kind"),
    sa.CheckConstraint("priority between -100 and 100", name="priority"),
    info=owned(keep=FOR_EVER),
    schema="delivery",
    comment="Templates of messages; a message keeps the content that it was queued with",
)
