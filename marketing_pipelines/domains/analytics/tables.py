"""Tables of the schema `analytics` (marks and finished partitions are in `stores.tables`)."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import FOR_EVER, Keep, Person, owned
from marketing_pipelines.stores.tables import identity, instant, json_object, metadata

STAT_TYPES = ("sent", "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")


def _bigint(name: str, comment: str, **options: object) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, comment=comment, **options)  # type: ignore[arg-type]


contact_activity = sa.Table(
    "contact_activity",
    metadata,
    _bigint(
        "id",
        "Row number; a correction finds by it the event whose place it takes",
        primary_key=True,
        server_default=sa.text("nextval('analytics.contact_activity_id_seq')"),
    ),
    _bigint("organization_id", "Organization (tenant) that owns the row"),
    sa.Column(
        "event_id", sa.Text, nullable=False, comment="Id of the event, unique per organization"
    ),
    _bigint("contact_id", "Contact of the event"),
    sa.Column("event_type", sa.Text, nullable=False, comment="sent, opened, purchase and so on"),
    sa.Column("source_type", sa.Text, comment="Kind of its source: campaign, or null"),
    sa.Column("source_id", sa.BigInteger, comment="Number of the campaign, or null"),
    instant(
        "occurred_at",
        "When it happened; decides hour, day and month",
        primary_key=True,
        nullable=False,
    ),
    instant("received_at", "When the platform received it", nullable=False),
    sa.Column("properties", pg.JSONB, comment="Further properties from the sender"),
    instant(
        "inserted_at",
        "When the row was stored, which no file can say; null = before it was kept",
        server_default=sa.func.now(),
    ),
    sa.CheckConstraint("event_type not like 'monthly:%'", name="event_type"),
    sa.Index(
        "ix_contact_activity_occurred_at",
        "occurred_at",
        postgresql_using="brin",
        # Not plain minmax: one late event in a range of pages would spread it over weeks.
        postgresql_ops={"occurred_at": "timestamptz_minmax_multi_ops"},
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    ),
    # Segments: contacts with such events in a window, and the events of one contact.
    sa.Index(
        "ix_contact_activity_organization_id_event_type_occurred_at",
        "organization_id",
        "event_type",
        "occurred_at",
        postgresql_include=["contact_id"],
    ),
    sa.Index(
        "ix_contact_activity_contact_id_event_type_occurred_at",
        "contact_id",
        "event_type",
        "occurred_at",
    ),
    info=owned(
        keep=FOR_EVER,
        person=Person(by="contact_id", erase="empty", mask=("event_id", "properties")),
    ),
    schema="analytics",
    comment="Every event once, append-only, partitioned by month of occurred_at (UTC)",
    postgresql_partition_by="RANGE (occurred_at)",
)

event_keys = sa.Table(
    "event_keys",
    metadata,
    _bigint("organization_id", "Organization (tenant)", primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Text, primary_key=True, comment="Id of the event"),
    _bigint("activity_id", "Row of contact_activity that holds the event"),
    instant("occurred_at", "When the kept event happened", nullable=False),
    instant("received_at", "When the kept event was received", nullable=False),
    info=owned(
        keep=FOR_EVER,
        person=Person(
            by="activity_id",
            of="analytics.contact_activity",
            erase="empty",
            mask=("event_id",),
            export=False,
        ),
    ),
    schema="analytics",
    comment="Event ids that are in use; rows stay when rows of contact_activity are removed",
)

lake_hours = sa.Table(
    "lake_hours",
    metadata,
    instant("hour", "First instant of the UTC hour", primary_key=True),
    _bigint("rows", "Events in the hour; 0 = no file"),
    sa.Column("content_hash", sa.Text, nullable=False, comment="SHA-256 of the file; '' = no file"),
    instant("exported_at", "When the file was written", nullable=False),
    info=owned(keep=FOR_EVER),
    schema="analytics",
    comment="Manifest of the event lake: the hours that are exported",
)

hourly_events = sa.Table(
    "hourly_events",
    metadata,
    _bigint("organization_id", "Organization (tenant)", primary_key=True, autoincrement=False),
    sa.Column("event_type", sa.Text, primary_key=True, comment="Event type as received"),
    instant("hour", "First instant of the UTC hour", primary_key=True),
    _bigint("event_count", "Events in the hour"),
    _bigint("unique_contacts", "Distinct contacts with at least one such event in the hour"),
    sa.Index("ix_hourly_events_hour", "hour"),
    info=owned(keep=FOR_EVER),
    schema="analytics",
    comment="Events per organization, type and UTC hour",
)

event_aggregates = sa.Table(
    "event_aggregates",
    metadata,
    _bigint("organization_id", "Organization (tenant)", primary_key=True, autoincrement=False),
    sa.Column(
        "event_type",
        sa.Text,
        primary_key=True,
        comment="Event type; 'monthly:' before it marks a month's row",
    ),
    sa.Column(
        "date",
        sa.Date,
        primary_key=True,
        comment="Day in the reporting zone; first of the month in a month's row",
    ),
    _bigint("event_count", "Events in the day or month"),
    _bigint("unique_contacts", "Distinct contacts with at least one such event in it"),
    sa.Index("ix_event_aggregates_date", "date"),
    info=owned(keep=FOR_EVER),
    schema="analytics",
    comment="Two grains in one table; read the views daily_events and monthly_usage",
)

campaign_daily_stats = sa.Table(
    "campaign_daily_stats",
    metadata,
    _bigint("campaign_id", "Campaign", primary_key=True, autoincrement=False),
    _bigint("organization_id", "Organization (tenant)", primary_key=True, autoincrement=False),
    sa.Column("date", sa.Date, primary_key=True, comment="Day in the reporting zone"),
    *(_bigint(name, f"Events of type {name}, counted raw") for name in STAT_TYPES),
    _bigint("machine_opened", "Opens that the provider attributes to a machine"),
    *(
        _bigint(f"unique_{name}", f"Distinct contacts with at least one {name} that day")
        for name in STAT_TYPES
    ),
    _bigint("entered", "Contacts that entered the campaign that day"),
    _bigint("completed", "Contacts that went through its last step that day"),
    _bigint("exited", "Contacts that left it early that day"),
    sa.Index("ix_campaign_daily_stats_date", "date"),
    info=owned(keep=FOR_EVER),
    schema="analytics",
    comment="One row per campaign and day, zeros included",
)

restatements = sa.Table(
    "restatements",
    metadata,
    identity("Restatement number"),
    sa.Column("asset", sa.Text, nullable=False, comment="Asset key, e.g. analytics/monthly_usage"),
    sa.Column(
        "partition",
        sa.Text,
        nullable=False,
        comment="Partition key; first...last in a row that sums up several",
    ),
    _bigint("organization_id", "Organization (tenant)"),
    json_object(
        "key",
        "Row of the partition: its campaign_id or event_type; {restatements: n} in a row that sums "
        "up n of them",
    ),
    sa.Column("column_name", sa.Text, nullable=False, comment="Column of the asset's table"),
    _bigint("before", "Value that was replaced; 0 where there was no row"),
    _bigint("after", "Value that replaced it; 0 where no row is left"),
    sa.Column(
        "cause",
        sa.Text,
        nullable=False,
        comment="late (events arrived), enrolment (contacts of campaigns or a campaign changed), "
        "rebuild (it was asked for) or code (another release counted it before)",
    ),
    instant("restated_at", "When it was replaced", nullable=False, server_default=sa.func.now()),
    sa.Column("run_id", sa.Text, nullable=False, comment="Dagster run"),
    sa.CheckConstraint("cause in ('late', 'enrolment', 'rebuild', 'code')", name="cause"),
    sa.Index("ix_restatements_asset_partition", "asset", "partition", "organization_id"),
    sa.Index("ix_restatements_restated_at", "restated_at"),
    info=owned(keep=Keep("restated_at", days=400)),
    schema="analytics",
    comment="Numbers of partitions that were over and were replaced by others, and why",
)
