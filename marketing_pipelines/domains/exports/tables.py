"""Table of the schema `exports`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import Keep, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    metadata,
    one_of,
    organization_id,
)

KINDS = ("contact", "contacts", "events", "messages", "campaign_stats", "deals", "activities")
FORMATS = ("csv", "json", "xlsx", "pdf", "parquet")
STATES = ("queued", "running", "ready", "failed", "expired", "cancelled")
UNENDED = ("queued", "running")

requests = sa.Table(
    "requests",
    metadata,
    identity("Export number"),
    organization_id(),
    sa.Column("kind", sa.Text, nullable=False, comment=", ".join(KINDS)),
    sa.Column("format", sa.Text, nullable=False, comment=", ".join(FORMATS)),
    sa.Column("contact_id", sa.BigInteger, comment="Only rows of this contact; null = of all"),
    sa.Column(
        "segment_id", sa.BigInteger, comment="Only rows of its members; null = of all contacts"
    ),
    instant("starts_at", "Only rows from this instant on; null = from the first one"),
    instant("ends_at", "Only rows before this instant; null = up to the last one"),
    sa.Column(
        "columns", pg.ARRAY(sa.Text), comment="Columns and their order; null = those of the kind"
    ),
    sa.Column(
        "notify",
        pg.ARRAY(sa.BigInteger),
        nullable=False,
        server_default=sa.text("'{}'::bigint[]"),
        comment="Users that get a mail when the file is there",
    ),
    sa.Column("requested_by", sa.Text, nullable=False, comment="Name of the token, or `command`"),
    sa.Column("idempotency_key", sa.Text, comment="The request is done once for each key"),
    sa.Column("body_digest", sa.Text, comment="SHA-256 of the request, where it has a key"),
    sa.Column("state", sa.Text, nullable=False, comment=", ".join(STATES)),
    sa.Column("task_id", sa.BigInteger, comment="Task of the queue `exports` that works it"),
    sa.Column(
        "attempt",
        sa.Integer,
        nullable=False,
        server_default=sa.text("0"),
        comment="Number of the latest attempt; an earlier one cannot settle it any more",
    ),
    sa.Column("expected_rows", sa.BigInteger, nullable=False, comment="Rows when it was asked for"),
    sa.Column(
        "rows",
        sa.BigInteger,
        nullable=False,
        server_default=sa.text("0"),
        comment="Rows that are written",
    ),
    instant("progress_at", "When the latest rows were written"),
    sa.Column("file", sa.Text, comment="Path of the file below `MARKETING_FILES_URL`"),
    sa.Column("size", sa.BigInteger, comment="Bytes of the file"),
    sa.Column("error", sa.Text, comment="Why it failed, one sentence"),
    sa.Column("note", sa.Text, comment="What the file lacks, one sentence; null = nothing"),
    instant("created_at", "When it was asked for", nullable=False),
    instant("started_at", "When the latest attempt began"),
    instant("ended_at", "When it was ready, failed or was cancelled"),
    instant("expires_at", "When the link ends and the file goes"),
    sa.CheckConstraint(one_of("kind", KINDS), name="kind"),
    sa.CheckConstraint(one_of("format", FORMATS), name="format"),
    sa.CheckConstraint(one_of("state", STATES), name="state"),
    sa.CheckConstraint("state <> 'ready' or num_nulls(file, size, expires_at) = 0", name="ready"),
    sa.UniqueConstraint("organization_id", "idempotency_key"),
    sa.Index("ix_requests_organization_id", "organization_id", "id"),
    sa.Index(
        "ix_requests_unended", "id", postgresql_where=sa.text("state in ('queued', 'running')")
    ),
    sa.Index("ix_requests_with_file", "expires_at", postgresql_where=sa.text("file is not null")),
    sa.Index("ix_requests_created_at", "created_at"),
    sa.Index(
        "ix_requests_contact_id", "contact_id", postgresql_where=sa.text("contact_id is not null")
    ),
    info=owned(
        keep=Keep("created_at", days=400, where="state not in ('queued', 'running')"),
        person=Person(by="contact_id", erase="delete", export=False),
        mentions=("idempotency_key", "error"),
    ),
    schema="exports",
    comment="Exports that applications and operators asked for, and how they went",
)
