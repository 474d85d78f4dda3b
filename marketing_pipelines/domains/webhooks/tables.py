"""Tables of the schema `webhooks`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import FOR_EVER, Keep, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    one_of,
)

ENDPOINT_STATES = ("active", "failing", "disabled")
DELIVERY_STATES = ("draft", "waiting", "delivered", "failed")

endpoints = sa.Table(
    "endpoints",
    metadata,
    identity("Endpoint number"),
    sa.Column(
        "organization_id",
        sa.BigInteger,
        sa.ForeignKey("crm.organizations.id"),
        comment="Organization whose events it gets; null = the operator's endpoint",
    ),
    sa.Column("url", sa.Text, nullable=False, comment="Address that gets a POST per event"),
    sa.Column(
        "event_types",
        pg.ARRAY(sa.Text),
        nullable=False,
        server_default=sa.text("'{}'::text[]"),
        comment="Patterns of types, such as `deal.*`; empty = all types",
    ),
    sa.Column(
        "secret",
        sa.Text,
        nullable=False,
        comment="Key of its signatures, encrypted; empty = none yet",
    ),
    sa.Column("old_secret", sa.Text, comment="The key before the latest rotation, encrypted"),
    instant("old_secret_until", "Until then the old key signs as well"),
    sa.Column(
        "state",
        sa.Text,
        nullable=False,
        server_default="active",
        comment="active, failing (one delivery at a time) or disabled (gets nothing)",
    ),
    sa.Column(
        "failures",
        sa.Integer,
        nullable=False,
        server_default=sa.text("0"),
        comment="Failed attempts since the latest success",
    ),
    instant("failing_since", "First attempt without success since the latest success"),
    instant("probe_at", "Not failing: null; failing: the next attempt is not before this"),
    instant("quiet_until", "No attempt before this, as the receiver asked"),
    sa.Column(
        "pauses",
        sa.Integer,
        nullable=False,
        server_default=sa.text("0"),
        comment="Pauses that the receiver asked for since the latest success",
    ),
    instant("slow_at", "Latest attempt that took long; null = none did for some time"),
    sa.Column("error", sa.Text, comment="Why the latest attempt failed, one sentence"),
    instant("last_ok_at", "Latest success"),
    instant("disabled_at", "When it was disabled; null = it is not"),
    instant("enabled_at", "When it was last enabled: earlier events are left to a replay"),
    instant("created_at", "When it was added", nullable=False),
    sa.CheckConstraint(one_of("state", ENDPOINT_STATES), name="state"),
    sa.CheckConstraint("(state = 'disabled') = (disabled_at is not null)", name="disabled_at"),
    sa.CheckConstraint("(state = 'failing') = (probe_at is not null)", name="probe_at"),
    sa.CheckConstraint("(old_secret is null) = (old_secret_until is null)", name="old_secret"),
    sa.Index("ix_endpoints_organization_id", "organization_id", "id"),
    info=owned(keep=FOR_EVER, mentions=("error",)),
    schema="webhooks",
    comment="Addresses that get events by HTTP",
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    identity("Delivery number; deliveries to one endpoint about one contact go in its order"),
    sa.Column(
        "endpoint_id",
        sa.BigInteger,
        sa.ForeignKey("webhooks.endpoints.id", ondelete="cascade"),
        nullable=False,
        comment="Endpoint that gets the event",
    ),
    sa.Column(
        "event_id",
        sa.Text,
        nullable=False,
        comment="Key of the event, the same at every attempt, such as `event:17`",
    ),
    sa.Column("type", sa.Text, nullable=False, comment="Type of the event, e.g. contact.created"),
    sa.Column("contact_id", sa.BigInteger, comment="Contact; its deliveries go one by one"),
    json_object("data", "The event's data as the receiver gets it"),
    sa.Column(
        "fields",
        pg.JSONB,
        comment="Fields of the contact that fill in the body of a draft",
    ),
    instant("published_at", "When the event was published", nullable=False),
    sa.Column(
        "state",
        sa.Text,
        nullable=False,
        server_default="waiting",
        comment="draft (its body is not filled in), waiting, delivered or failed",
    ),
    sa.Column(
        "attempts",
        sa.Integer,
        nullable=False,
        server_default=sa.text("0"),
        comment="Attempts that succeeded or failed",
    ),
    sa.Column("status", sa.Integer, comment="Status of the latest answer; null = none came"),
    sa.Column("response", sa.Text, comment="Start of the latest answer, or why none came"),
    instant("due_at", "The next attempt is not before this", nullable=False),
    instant("first_failed_at", "First failed attempt"),
    instant("ended_at", "When it was delivered or failed"),
    sa.CheckConstraint(one_of("state", DELIVERY_STATES), name="state"),
    sa.CheckConstraint("state <> 'draft' or fields is not null", name="fields"),
    sa.CheckConstraint("(state in ('draft', 'waiting')) = (ended_at is null)", name="ended_at"),
    sa.UniqueConstraint("endpoint_id", "event_id"),
    sa.Index(
        "ix_deliveries_waiting",
        "endpoint_id",
        "due_at",
        "id",
        postgresql_where=sa.text("state = 'waiting'"),
    ),
    sa.Index(
        "ix_deliveries_waiting_of_contacts",
        "endpoint_id",
        "contact_id",
        "id",
        postgresql_where=sa.text("state = 'waiting' and contact_id is not null"),
    ),
    sa.Index(
        "ix_deliveries_drafts",
        "endpoint_id",
        "id",
        postgresql_where=sa.text("state = 'draft'"),
    ),
    sa.Index(
        "ix_deliveries_contact_id", "contact_id", postgresql_where=sa.text("contact_id is not null")
    ),
    sa.Index(
        "ix_deliveries_failed",
        "endpoint_id",
        "due_at",
        "id",
        postgresql_where=sa.text("state = 'failed'"),
    ),
    sa.Index("ix_deliveries_published_at", "published_at"),
    info=owned(
        keep=Keep("published_at", days=30),
        person=Person(by="contact_id", erase="delete"),
        mentions=("data", "fields", "response"),
    ),
    schema="webhooks",
    comment="Events on their way to an endpoint, and how they arrived",
)
