"""Tables of the schema `actions`."""

import sqlalchemy as sa

from marketing_pipelines.stores.ownership import FOR_EVER, Keep, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    one_of,
    organization_id,
)

STATES = ("active", "paused", "finished", "skipped", "cancelled")
CATCH_UP = ("once", "skip")
TARGETS = ("job", "task", "endpoint")
RUN_STATES = ("starting", "done", "failed")

scheduled_actions = sa.Table(
    "scheduled_actions",
    metadata,
    identity("Action number"),
    organization_id(),
    sa.Column("type", sa.Text, nullable=False, comment="Type, which routes name: billing:renew"),
    json_object("payload", "Given to the tasks that it is led to"),
    sa.Column("every", sa.Text, comment="Repetition as given; null = it comes once"),
    sa.Column("cron", sa.Text, comment="The same in five fields"),
    sa.Column("zone", sa.Text, comment="Time zone of the repetition; null = it comes once"),
    instant("run_at", "When it is due; null = it comes again and again"),
    instant("until", "It comes before this instant alone; null = without end"),
    sa.Column(
        "catch_up",
        sa.Text,
        nullable=False,
        server_default="once",
        comment="Treatment of missed times: one run for all of them (once), or none (skip)",
    ),
    sa.Column("dedupe_key", sa.Text, comment="Key of its doubles; null = none is looked for"),
    sa.Column(
        "body_hash", sa.Text, nullable=False, comment="SHA-256 of all that the request says of it"
    ),
    sa.Column(
        "state",
        sa.Text,
        nullable=False,
        server_default="active",
        comment="active, paused, finished, skipped (missed, with catch_up skip) or cancelled",
    ),
    instant("next_at", "When it is due next; null = never again"),
    instant("last_due_at", "The due time that was last taken; null = none yet"),
    instant("created_at", "When it was asked for", nullable=False),
    instant("ended_at", "When it was finished, skipped or cancelled; null = not yet"),
    sa.CheckConstraint(one_of("state", STATES), name="state"),
    sa.CheckConstraint(one_of("catch_up", CATCH_UP), name="catch_up"),
    sa.CheckConstraint("(run_at is null) = (cron is not null)", name="once_or_again"),
    sa.CheckConstraint("(cron is null) = (zone is null)", name="zone"),
    sa.CheckConstraint("(state in ('active', 'paused')) = (ended_at is null)", name="ended_at"),
    sa.CheckConstraint("state <> 'active' or next_at is not null", name="next_at"),
    sa.Index(
        "ix_scheduled_actions_due", "next_at", "id", postgresql_where=sa.text("state = 'active'")
    ),
    sa.Index(
        "ix_scheduled_actions_dedupe_key",
        "organization_id",
        "type",
        "dedupe_key",
        postgresql_where=sa.text("dedupe_key is not null"),
    ),
    sa.Index("ix_scheduled_actions_organization_id", "organization_id", "id"),
    sa.Index(
        "ix_scheduled_actions_ended_at",
        "ended_at",
        postgresql_where=sa.text("ended_at is not null"),
    ),
    info=owned(keep=Keep("ended_at", days=90), mentions=("payload", "dedupe_key")),
    schema="actions",
    comment="Actions that applications asked for, once or again and again",
)

routes = sa.Table(
    "routes",
    metadata,
    identity("Route number"),
    organization_id(),
    sa.Column(
        "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
    ),
    sa.Column(
        "type",
        sa.Text,
        nullable=False,
        comment="Type of actions, or the beginning of types and a star: billing:*",
    ),
    sa.Column("target", sa.Text, nullable=False, comment="job, task or endpoint"),
    sa.Column(
        "name",
        sa.Text,
        nullable=False,
        comment="Asset key of the job, name of the task or number of the endpoint",
    ),
    sa.Column(
        "enabled",
        sa.Boolean,
        nullable=False,
        server_default=sa.true(),
        comment="False if it takes no actions",
    ),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint(one_of("target", TARGETS), name="target"),
    info=owned(keep=FOR_EVER),
    schema="actions",
    comment="The jobs, tasks and endpoints that actions of a type are led to",
)

runs = sa.Table(
    "runs",
    metadata,
    identity("Number of the row"),
    sa.Column(
        "action_id",
        sa.BigInteger,
        sa.ForeignKey("actions.scheduled_actions.id", ondelete="cascade"),
        nullable=False,
        comment="Action",
    ),
    instant("due_at", "The due time", nullable=False),
    sa.Column(
        "route_id",
        sa.BigInteger,
        sa.ForeignKey("actions.routes.id", ondelete="cascade"),
        nullable=False,
        comment="Route",
    ),
    sa.Column("target", sa.Text, nullable=False, comment="Target of the route at that time"),
    sa.Column("name", sa.Text, nullable=False, comment="Name of the target at that time"),
    sa.Column(
        "state",
        sa.Text,
        nullable=False,
        comment="starting (a job that no run has taken to the queue yet), done (handed over) or"
        " failed",
    ),
    sa.Column(
        "run_id",
        sa.Text,
        nullable=False,
        server_default=sa.text("(gen_random_uuid())::text"),
        comment="Dagster run of a job, chosen before it is started",
    ),
    sa.Column(
        "error",
        sa.Text,
        comment="Why the job was not started or the endpoint got nothing; null = it was, or did",
    ),
    instant("created_at", "The tick that took the action", nullable=False),
    sa.UniqueConstraint("action_id", "due_at", "route_id"),
    sa.CheckConstraint(one_of("target", TARGETS), name="target"),
    sa.CheckConstraint(one_of("state", RUN_STATES), name="state"),
    sa.Index("ix_runs_starting", "id", postgresql_where=sa.text("state = 'starting'")),
    sa.Index("ix_runs_route_id", "route_id"),
    sa.Index("ix_runs_created_at", "created_at"),
    info=owned(keep=Keep("created_at", days=90), mentions=("error",)),
    schema="actions",
    comment="Each due time of an action, once for each route",
)
