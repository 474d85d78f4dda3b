"""The alerts of incidents."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores import intents
from marketing_pipelines.stores.ownership import Keep, owned
from marketing_pipelines.stores.tables import identity, instant, metadata

alerts = sa.Table(
    "alerts",
    metadata,
    identity("Alert number"),
    sa.Column(
        "incident_id",
        sa.BigInteger,
        sa.ForeignKey("ops.incidents.id", ondelete="CASCADE"),
        nullable=False,
        comment="Incident that it reports",
    ),
    sa.Column("kind", sa.Text, nullable=False, comment="first, third or recovery"),
    *intents.columns(),
    sa.Column(
        "delivered_to",
        pg.ARRAY(sa.Text),
        nullable=False,
        server_default="{}",
        comment="Fingerprints of the addresses that accepted it and do not get it again",
    ),
    instant("recorded_at", "When it was recorded", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("incident_id", "kind"),
    sa.CheckConstraint("kind in ('first', 'third', 'recovery')", name="kind"),
    sa.CheckConstraint(
        "state in ('queued', 'claimed', 'sending', 'sent', 'unknown', 'failed', 'muted', "
        "'unaddressed')",
        name="state",
    ),
    sa.Index("ix_alerts_open", "due_at", postgresql_where=sa.text("state = 'queued'")),
    sa.Index("ix_alerts_recorded_at", "recorded_at"),
    info=owned(
        keep=Keep(
            "recorded_at",
            days=400,
            where="incident_id in (select id from ops.incidents where recovered_at is not null)",
        ),
        mentions=("reason",),
    ),
    schema="ops",
    comment="Alerts of incidents: each kind once per incident",
)
