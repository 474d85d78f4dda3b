"""Tables of the queues besides Procrastinate's own, and declarations of those."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import EMPTIED, FOR_EVER, Keep, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    organization_id,
)

# Procrastinate's own schema makes it: in no metadata of ours, so that nothing compares it.
jobs = sa.Table(
    "procrastinate_jobs",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("queue_name", sa.String(128), nullable=False),
    sa.Column("task_name", sa.String(128), nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("scheduled_at", sa.DateTime(timezone=True)),
)

queue_states = sa.Table(
    "queue_states",
    metadata,
    sa.Column("queue", sa.Text, primary_key=True, comment="Queue name"),
    instant("paused_at", "Since when nothing of it is started; null = it is not paused"),
    sa.Column(
        "starts",
        pg.ARRAY(sa.DateTime(timezone=True)),
        nullable=False,
        server_default=sa.text("'{}'::timestamptz[]"),
        comment="Instants before which the latest tasks started; the rate limit counts them",
    ),
    info=owned(keep=FOR_EVER),
    schema="ops",
    comment="State of a queue for all workers: paused or not, and its latest starts",
)

task_attempts = sa.Table(
    "task_attempts",
    metadata,
    sa.Column(
        "task_id",
        sa.BigInteger,
        sa.ForeignKey(jobs.c.id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="Task number",
    ),
    sa.Column("progress", sa.Double, comment="Part that is done, 0 to 1, as the task reports it"),
    sa.Column("error", sa.Text, comment="Why the latest attempt failed, one sentence"),
    sa.Column("traceback", sa.Text, comment="Traceback of the latest attempt that failed"),
    instant("first_failed_at", "First failed attempt"),
    instant("last_failed_at", "Latest failed attempt"),
    info=owned(keep=EMPTIED, mentions=("error", "traceback")),
    schema="ops",
    comment="Reports of a task's attempts; only of tasks that failed or reported progress",
)

task_keys = sa.Table(
    "task_keys",
    metadata,
    sa.Column("task", sa.Text, primary_key=True, comment="Task name"),
    sa.Column("key", sa.Text, primary_key=True, comment="Unique key of its payload"),
    sa.Column("task_id", sa.BigInteger, nullable=False, comment="Latest task with this key"),
    sa.Column(
        "unique_for",
        sa.Interval,
        nullable=False,
        comment="Time after its completion during which no other task with the key is enqueued",
    ),
    instant("until", "Instant from which the key is free; null = its task has not ended"),
    sa.Index("ix_task_keys_task_id", "task_id"),
    sa.Index("ix_task_keys_until", "until"),
    info=owned(keep=Keep("until", days=90), mentions=("key",)),
    schema="ops",
    comment="Keys of tasks that are enqueued once until they end, or for some time after that",
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    identity("Dead letter number"),
    sa.Column("task_id", sa.BigInteger, nullable=False, comment="Task that failed for good"),
    sa.Column("queue", sa.Text, nullable=False, comment="Queue it came from, and goes back to"),
    sa.Column("task", sa.Text, nullable=False, comment="Task name"),
    sa.Column("payload", pg.JSONB, nullable=False, comment="Arguments of the task"),
    sa.Column(
        "priority", sa.Integer, nullable=False, comment="Tasks with a higher number are done first"
    ),
    sa.Column("lock", sa.Text, comment="Tasks with the same lock are done one after the other"),
    sa.Column("unique_key", sa.Text, comment="Key that keeps out other tasks"),
    sa.Column(
        "error", sa.Text, nullable=False, comment="Why the last attempt failed, one sentence"
    ),
    sa.Column("traceback", sa.Text, comment="Traceback of the last attempt"),
    sa.Column("attempts", sa.Integer, nullable=False, comment="Attempts that failed"),
    instant("first_failed_at", "First failed attempt", nullable=False),
    instant("last_failed_at", "Last failed attempt", nullable=False),
    sa.Column(
        "state",
        sa.Text,
        nullable=False,
        server_default="dead",
        comment="dead, redriven or discarded",
    ),
    instant("settled_at", "When it was sent back or discarded"),
    sa.Column(
        "redriven_task_id",
        sa.BigInteger,
        comment="Task that repeats it; null = one with its unique key was waiting already",
    ),
    sa.CheckConstraint("state in ('dead', 'redriven', 'discarded')", name="state"),
    sa.UniqueConstraint("task_id"),
    sa.Index("ix_dead_letters_dead", "queue", "id", postgresql_where=sa.text("state = 'dead'")),
    sa.Index(
        "ix_dead_letters_settled_at",
        "settled_at",
        postgresql_where=sa.text("settled_at is not null"),
    ),
    info=owned(
        keep=Keep("settled_at", days=90),
        mentions=("payload", "lock", "unique_key", "error", "traceback"),
    ),
    schema="ops",
    comment="Tasks that failed for good, until they are sent back or discarded",
)

bus_events = sa.Table(
    "bus_events",
    metadata,
    identity("Event number; of one contact, later events have greater ones"),
    organization_id(),
    sa.Column("contact_id", sa.BigInteger, comment="Contact; its events are consumed in order"),
    sa.Column("type", sa.Text, nullable=False, comment="Type of the event, e.g. contact.created"),
    sa.Column("version", sa.Integer, nullable=False, comment="Version of the payload's schema"),
    json_object("payload", "Fields of the event for consumers"),
    instant(
        "published_at",
        "When the transaction that published it began",
        nullable=False,
        server_default=sa.func.now(),
    ),
    sa.Index("ix_bus_events_type_published_at", "type", "published_at"),
    sa.Index("ix_bus_events_published_at", "published_at"),
    info=owned(
        keep=Keep(
            "published_at",
            days=30,
            where="id not in (select event_id from ops.awaited_bus_events)",
        ),
        person=Person(by="contact_id", erase="delete"),
    ),
    schema="ops",
    comment="Events between domains; every consumer has a task for each event",
)
