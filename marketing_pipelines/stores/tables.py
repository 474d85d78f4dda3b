"""The tables of the mechanisms, and the column helpers that every domain's tables use.

Domains declare their own tables in `domains/<domain>/tables.py`; all share `metadata`, which a
test compares with the migrated database.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.stores.ownership import EMPTIED, FOR_EVER, Keep, owned

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def load_tables() -> sa.MetaData:
    """Imports every `tables.py` of the project, so that `metadata` has all tables."""
    for file in sorted(PACKAGE.rglob("tables.py")):
        importlib.import_module(".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts))
    return metadata


def identity(comment: str) -> sa.Column[int]:
    """A `bigint` surrogate key."""
    return sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True, comment=comment)


def instant(name: str, comment: str, **options: Any) -> sa.Column[Any]:
    """A `timestamptz` column."""
    return sa.Column(name, sa.DateTime(timezone=True), comment=comment, **options)


def organization_id() -> sa.Column[int]:
    """The tenant every row carries."""
    return sa.Column(
        "organization_id",
        sa.BigInteger,
        sa.ForeignKey("crm.organizations.id"),
        nullable=False,
        comment="Organization (tenant) that owns the row",
    )


def json_object(name: str, comment: str) -> sa.Column[Any]:
    """A `jsonb` object that is never null."""
    return sa.Column(
        name, pg.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb"), comment=comment
    )


def one_of(column: str, values: Sequence[str]) -> str:
    """The condition of a check that a column holds one of these words."""
    return f"{column} in ({', '.join(repr(value) for value in values)})"


installation = sa.Table(
    "installation",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False, comment="Always 1"),
    sa.Column("timezone", sa.Text, nullable=False, comment="Reporting zone (IANA name)"),
    instant(
        "started_at",
        "First start; partitions that ended before it are done only where events exist",
        nullable=False,
        server_default=sa.func.now(),
    ),
    sa.Column(
        "installation_id",
        sa.Uuid,
        nullable=False,
        server_default=sa.func.gen_random_uuid(),
        comment="Identity of the installation; the event lake of this database has the same",
    ),
    sa.Column(
        "zones_version",
        sa.Text,
        comment="Version of the package tzdata from which ops.zones was written",
    ),
    sa.Column(
        "erasure_key",
        sa.Text,
        comment="Encrypted key of the hashes in ops.erasures; null = nobody was erased so far",
    ),
    sa.Column(
        "unfinished_restore",
        pg.JSONB,
        comment="Restore that only another run of it may go on with; null = none",
    ),
    sa.CheckConstraint("id = 1", name="one_row"),
    info=owned(keep=FOR_EVER),
    schema="ops",
    comment="Decisions of the installation at its first start",
)

zones = sa.Table(
    "zones",
    metadata,
    sa.Column("name", sa.Text, primary_key=True, comment="IANA name"),
    sa.Column(
        "starts_at",
        pg.ARRAY(sa.DateTime(timezone=True)),
        nullable=False,
        comment="Instants at which the offset changes; the first is -infinity",
    ),
    sa.Column(
        "starts_local",
        pg.ARRAY(sa.DateTime()),
        nullable=False,
        comment="Local times from which the offset applies; of a time that occurs twice the "
        "first counts",
    ),
    sa.Column(
        "utc_offsets",
        pg.ARRAY(pg.INTERVAL),
        nullable=False,
        comment="Offset from UTC from each instant on",
    ),
    info=owned(keep=FOR_EVER),
    schema="ops",
    comment="Time zones of the package tzdata, with their changes of the offset from UTC",
)

schema_files = sa.Table(
    "schema_files",
    metadata,
    sa.Column("path", sa.Text, primary_key=True, comment="Path of the file in `schema/`"),
    sa.Column("sha256", sa.Text, nullable=False, comment="SHA-256 of its text"),
    sa.Column("release", sa.Text, nullable=False, comment="Release that applied it"),
    info=owned(keep=FOR_EVER),
    schema="ops",
    comment="Files of functions, views, triggers, rights and comments that this database has",
)

job_sessions = sa.Table(
    "job_sessions",
    metadata,
    identity("Session number"),
    sa.Column("job", sa.Text, nullable=False, comment="Asset key, e.g. analytics/event_aggregates"),
    sa.Column(
        "trigger",
        sa.Text,
        nullable=False,
        comment="Trigger: schedule, sensor, manual, backfill or api",
    ),
    instant("tick", "Scheduled instant, or the instant a manual run was asked for", nullable=False),
    sa.Column("partition", sa.Text, comment="Partition key, or first...last of a range"),
    sa.Column("run_id", sa.Text, comment="Dagster run"),
    sa.Column(
        "status",
        sa.Text,
        nullable=False,
        comment="QUEUED, RUNNING, COMPLETED, FAILED, CANCELED, TIMED_OUT, ABANDONED or "
        "SKIPPED_OVERLAP",
    ),
    instant("started_at", "When the work began", server_default=sa.func.now()),
    instant("ended_at", "When the work ended"),
    sa.Column("duration_ms", sa.BigInteger, comment="Milliseconds from start to end"),
    sa.Column("error", sa.Text, comment="One sentence: why it failed or was skipped"),
    sa.Column(
        "will_retry",
        sa.Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="True if the same run retried after this failure",
    ),
    sa.Column("items_ok", sa.Integer, comment="Items done"),
    sa.Column("items_failed", sa.Integer, comment="Items that failed while others were kept"),
    sa.Column("rss_peak_mb", sa.Integer, comment="Peak resident memory of the process, MB"),
    sa.Column(
        "cpu_seconds",
        sa.Double,
        comment="CPU time that the work took in its process, user and system, s",
    ),
    json_object("metadata", "Numbers the job reports: rows, rows per second and so on"),
    sa.Column("backend_pid", sa.Integer, comment="Server process that holds the session's locks"),
    sa.CheckConstraint(
        "status in ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELED', 'TIMED_OUT', "
        "'ABANDONED', 'SKIPPED_OVERLAP')",
        name="status",
    ),
    sa.CheckConstraint(
        "trigger in ('schedule', 'sensor', 'manual', 'backfill', 'api')", name="trigger"
    ),
    sa.Index("ix_job_sessions_job_started_at", "job", "started_at"),
    sa.Index(
        "ix_job_sessions_running",
        "job",
        postgresql_where=sa.text("status in ('RUNNING', 'QUEUED')"),
    ),
    sa.Index("ix_job_sessions_started_at", "started_at"),
    info=owned(
        keep=Keep(
            "started_at",
            days=90,
            where="status not in ('QUEUED', 'RUNNING')",
            job="upkeep/job_sessions",
        ),
        mentions=("error", "metadata"),
    ),
    schema="ops",
    comment="One row for every time a job worked, failed, or was skipped",
)

clocks = sa.Table(
    "clocks",
    metadata,
    sa.Column("job", sa.Text, primary_key=True, comment="Asset key"),
    sa.Column("cron", sa.Text, nullable=False, comment="Five-field cron"),
    info=owned(keep=FOR_EVER),
    schema="ops",
    comment="Cron of each job at its latest tick",
)

item_failures = sa.Table(
    "item_failures",
    metadata,
    sa.Column("job", sa.Text, primary_key=True, comment="Asset key"),
    sa.Column("item", sa.Text, primary_key=True, comment="Failing item, e.g. campaign 17"),
    sa.Column(
        "consecutive", sa.Integer, nullable=False, comment="Failures in a row; a success clears it"
    ),
    instant("first_failed_at", "Tick of the first failure in this row", nullable=False),
    instant("last_failed_at", "Tick of the latest failure", nullable=False),
    sa.Column("error", sa.Text, nullable=False, comment="Latest error, one sentence"),
    info=owned(keep=EMPTIED, mentions=("item", "error")),
    schema="ops",
    comment="Items that fail while the rest of their job goes on",
)

incidents = sa.Table(
    "incidents",
    metadata,
    identity("Incident number"),
    sa.Column(
        "subject",
        sa.Text,
        nullable=False,
        comment="Subject: an asset key, or another thing that health watches",
    ),
    sa.Column(
        "item", sa.Text, nullable=False, server_default="", comment="Item of the job; empty = all"
    ),
    sa.Column("failures", sa.Integer, nullable=False, comment="Failures in a row so far"),
    instant("opened_at", "First failure", nullable=False, server_default=sa.func.now()),
    instant("last_failed_at", "Latest failure", nullable=False, server_default=sa.func.now()),
    instant("recovered_at", "First success after it; null while it lasts"),
    sa.Column("error", sa.Text, nullable=False, comment="Latest error, one sentence"),
    sa.Column("run_id", sa.Text, comment="Dagster run of the latest failure"),
    sa.Index(
        "uq_incidents_open",
        "subject",
        "item",
        unique=True,
        postgresql_where=sa.text("recovered_at is null"),
    ),
    sa.Index(
        "ix_incidents_recovered_at",
        "recovered_at",
        postgresql_where=sa.text("recovered_at is not null"),
    ),
    info=owned(keep=Keep("recovered_at", days=400), mentions=("item", "error")),
    schema="ops",
    comment="Unbroken rows of failures, one open at a time for each subject and item",
)

job_totals = sa.Table(
    "job_totals",
    metadata,
    sa.Column("job", sa.Text, primary_key=True, comment="Asset key"),
    sa.Column(
        "status",
        sa.Text,
        primary_key=True,
        comment="Status of the sessions; RETRIED: failed and retried by the same run",
    ),
    sa.Column("runs", sa.BigInteger, nullable=False, comment="Sessions that ended so"),
    sa.Column("seconds", sa.Double, nullable=False, comment="Sum of their durations, s"),
    sa.Column(
        "buckets",
        pg.ARRAY(sa.BigInteger),
        nullable=False,
        comment="Sessions that took at most 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800 "
        "s, and any time",
    ),
    sa.Column("items_failed", sa.BigInteger, nullable=False, comment="Items that failed in them"),
    instant("last_started_at", "When the latest of them began"),
    instant("last_ended_at", "When the latest of them ended"),
    info=owned(keep=FOR_EVER),
    schema="ops",
    comment="Totals of all sessions ever, kept when sessions are purged; a trigger counts",
)

stale_partitions = sa.Table(
    "stale_partitions",
    metadata,
    sa.Column("asset", sa.Text, primary_key=True, comment="Asset key"),
    sa.Column("partition", sa.Text, primary_key=True, comment="Partition key"),
    sa.Column(
        "xid",
        sa.BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="Transaction that made the partition stale",
    ),
    sa.Column(
        "cause",
        sa.Text,
        nullable=False,
        server_default="rebuild",
        comment="late (events arrived), enrolment (contacts of campaigns or a campaign changed) or "
        "rebuild",
    ),
    sa.CheckConstraint("cause in ('late', 'enrolment', 'rebuild')", name="cause"),
    info=owned(keep=EMPTIED),
    schema="analytics",
    comment="Marks: partitions whose sources changed after, or that were never done",
)

requested_marks = sa.Table(
    "requested_marks",
    metadata,
    sa.Column("asset", sa.Text, primary_key=True, comment="Asset key"),
    sa.Column("partition", sa.Text, primary_key=True, comment="Partition key"),
    sa.Column(
        "xid",
        sa.BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="The mark's transaction",
    ),
    instant("requested_at", "When a run was last asked for", nullable=False),
    info=owned(keep=EMPTIED),
    schema="analytics",
    comment="Marks for which a run was requested; runs never change it, so requests disturb none",
)

finished_partitions = sa.Table(
    "finished_partitions",
    metadata,
    sa.Column("asset", sa.Text, primary_key=True, comment="Asset key"),
    sa.Column("partition", sa.Text, primary_key=True, comment="Partition key"),
    instant("finished_at", "When it was last written", nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False, comment="Rows written"),
    sa.Column(
        "code_version",
        sa.Text,
        comment="Digest of the code that counted it; null = not kept for this asset",
    ),
    info=owned(keep=FOR_EVER),
    schema="analytics",
    comment="Partitions that were done at least once",
)
