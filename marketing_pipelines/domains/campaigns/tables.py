"""Tables of the schema `campaigns`."""

import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.events import publish_start
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind, declare
from marketing_pipelines.domains.lifecycle.programs import ending_columns, program_table
from marketing_pipelines.stores.ownership import FOR_EVER, owned
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
        comment="draft, scheduled, active, paused, completed, cancelled; imported = known only by "
        "name, no job changes it",
    ),
    instant("started_at", "When it was activated: by its file, else when its status changed"),
    instant("paused_at", "When it was last paused: by its file, else when its status changed"),
    instant("resumed_at", "When it was last activated after that; a trigger writes it"),
    instant("completed_at", "When its last contact finished, or as its file says"),
    instant("cancelled_at", "When it was cancelled: by its file, else when its status changed"),
    sa.Column(
        "audience",
        sa.Text,
        nullable=False,
        server_default="closed",
        comment="closed = it completes when its last contact finishes; open = not while a trigger "
        "can enrol contacts",
    ),
    *ending_columns(),
    json_object("attributes", "Columns of loaded files that have no column here"),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint("audience in ('closed', 'open')", name="audience"),
    sa.CheckConstraint(
        "status in ('draft', 'scheduled', 'active', 'paused', 'completed', 'cancelled', "
        "'imported')",
        name="status",
    ),
    info=owned(keep=FOR_EVER),
    schema="campaigns",
    comment="Campaigns with the instants at which their status changed",
)

campaign_contacts = sa.table(
    "campaign_contacts",
    sa.column("id", sa.BigInteger),
    sa.column("organization_id", sa.BigInteger),
    sa.column("campaign_id", sa.BigInteger),
    sa.column("contact_id", sa.BigInteger),
    sa.column("rotation", sa.Integer),
    sa.column("status", sa.Text),
    sa.column("entered_at", sa.DateTime(timezone=True)),
    sa.column("completed_at", sa.DateTime(timezone=True)),
    sa.column("exited_at", sa.DateTime(timezone=True)),
    schema="campaigns",
)

sequences = program_table(
    "sequences",
    schema="campaigns",
    comment="Sequences of mails, entered by sales people",
)

CAMPAIGN = declare(
    ProgramKind(
        "campaign",
        campaigns,
        moved_by="campaigns/step_progress",
        has_own_events=True,
        publish_start=publish_start,
    )
)
SEQUENCE = declare(
    ProgramKind(
        "sequence", sequences, moved_by="campaigns/sequence_progress", exits_unreachable=True
    )
)
