"""Tables of categories and subscriptions, in the schema `delivery`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import FOR_EVER, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    one_of,
    organization_id,
)

MODES = ("opt_out", "opt_in", "double_opt_in")
SUBSCRIPTION_STATES = ("subscribed", "unconfirmed", "unsubscribed")

categories = sa.Table(
    "categories",
    metadata,
    identity("Category number"),
    organization_id(),
    sa.Column("external_id", sa.Text, nullable=False, comment="Name in files and steps"),
    sa.Column("name", sa.Text, comment="Name on the pages of recipients"),
    sa.Column(
        "mode",
        sa.Text,
        nullable=False,
        server_default="opt_out",
        comment="opt_out: all but those who left; opt_in: subscribers; double_opt_in: those who "
        "confirmed",
    ),
    sa.Column(
        "is_default",
        sa.Boolean,
        nullable=False,
        server_default=sa.text("false"),
        comment="True for the category of messages that name none; one per organization",
    ),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint(one_of("mode", MODES), name="mode"),
    info=owned(keep=FOR_EVER),
    schema="delivery",
    comment="Categories of messages that a recipient can leave one by one",
)


def _state() -> sa.Column[str]:
    return sa.Column("state", sa.Text, nullable=False, comment=", ".join(SUBSCRIPTION_STATES))


subscriptions = sa.Table(
    "subscriptions",
    metadata,
    identity("Subscription number"),
    organization_id(),
    sa.Column("contact_id", sa.BigInteger, nullable=False, comment="Contact"),
    sa.Column(
        "category_id",
        sa.BigInteger,
        sa.ForeignKey("delivery.categories.id"),
        nullable=False,
        comment="Category",
    ),
    _state(),
    sa.Column("address", sa.Text, comment="Address of the contact at the latest change"),
    sa.Column("source", sa.Text, comment="Where it comes from: link, file, api, form or event"),
    json_object("evidence", "Proof of the consent: confirmed_at, ip, user_agent, form, at"),
    instant("changed_at", "Latest change", nullable=False, server_default=sa.func.now()),
    instant("asked_at", "When a mail last asked for its confirmation"),
    sa.UniqueConstraint("contact_id", "category_id"),
    sa.CheckConstraint(one_of("state", SUBSCRIPTION_STATES), name="state"),
    sa.Index(
        "ix_subscriptions_left",
        "category_id",
        "address",
        postgresql_where=sa.text("state = 'unsubscribed'"),
    ),
    sa.Index(
        "ix_subscriptions_subscribed",
        "category_id",
        "contact_id",
        postgresql_where=sa.text("state = 'subscribed'"),
    ),
    info=owned(keep=FOR_EVER, person=Person(by="contact_id", erase="delete")),
    schema="delivery",
    comment="Subscriptions of contacts to categories",
)

subscription_changes = sa.Table(
    "subscription_changes",
    metadata,
    identity("Row number"),
    organization_id(),
    sa.Column("contact_id", sa.BigInteger, nullable=False, comment="Contact"),
    sa.Column("category_id", sa.BigInteger, nullable=False, comment="Category"),
    _state(),
    sa.Column("source", sa.Text, comment="Where it came from"),
    sa.Column("evidence", pg.JSONB, nullable=False, comment="Proof at that time"),
    instant("changed_at", "When it changed", nullable=False),
    sa.Index("ix_subscription_changes_contact_id", "contact_id"),
    info=owned(keep=FOR_EVER, person=Person(by="contact_id", erase="delete")),
    schema="delivery",
    comment="History of subscriptions: a row for each change",
)
