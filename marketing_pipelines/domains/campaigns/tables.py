"""Tables of the schema `campaigns`."""

import sqlalchemy as sa

from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    organization_id,
)

campaigns = sa.Table(
    "campaigns",
    metadata,
    identity("Campaign number"),
    organization_id(),
    sa.Column(
        "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
    ),
    sa.Column("name", sa.Text, comment="Display name"),
    sa.Column(
        "status",
        sa.Text,
        nullable=False,
        server_default="draft",
        comment="draft, scheduled, active, paused, completed, cancelled; imported = known only "
        "from events, no clock touches it",
    ),
    instant("started_at", "When it was activated"),
    instant("paused_at", "When it was last paused"),
    instant("completed_at", "When its last contact finished"),
    instant("cancelled_at", "When it was cancelled"),
    json_object("attributes", "Columns of loaded files that have no column here"),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint(
        "status in ('draft', 'scheduled', 'active', 'paused', 'completed', 'cancelled', "
        "'imported')",
        name="status",
    ),
    schema="campaigns",
    comment="Campaigns with the instants at which their status changed",
)

campaign_contacts = sa.Table(
    "campaign_contacts",
    metadata,
    identity("Enrolment number"),
    organization_id(),
    sa.Column(
        "campaign_id",
        sa.BigInteger,
        sa.ForeignKey("campaigns.campaigns.id"),
        nullable=False,
        comment="Campaign",
    ),
    sa.Column(
        "contact_id",
        sa.BigInteger,
        sa.ForeignKey("crm.contacts.id"),
        nullable=False,
        comment="Contact",
    ),
    sa.Column(
        "status",
        sa.Text,
        nullable=False,
        server_default="active",
        comment="active, completed, exited or failed",
    ),
    instant("entered_at", "When the contact entered", nullable=False),
    instant("completed_at", "When the contact went through the last step"),
    instant("exited_at", "When the contact left before the last step"),
    sa.UniqueConstraint("campaign_id", "contact_id"),
    sa.CheckConstraint("status in ('active', 'completed', 'exited', 'failed')", name="status"),
    sa.Index("ix_campaign_contacts_entered_at", "entered_at", "campaign_id"),
    sa.Index("ix_campaign_contacts_completed_at", "completed_at", "campaign_id"),
    sa.Index("ix_campaign_contacts_exited_at", "exited_at", "campaign_id"),
    schema="campaigns",
    comment="Which contact is in which campaign, and since when",
)
