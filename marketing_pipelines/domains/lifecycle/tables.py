"""Tables of the schema `lifecycle`."""

from typing import Any

import sqlalchemy as sa

from marketing_pipelines.stores.ownership import EMPTIED, FOR_EVER, Keep, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    one_of,
    organization_id,
)

# The kinds that the database knows: a further one comes with a migration.
KINDS = ("campaign", "sequence", "journey")
STEP_TYPES = (
    "send_email",
    "send_sms",
    "send_push",
    "wait",
    "branch",
    "wait_for",
    "split",
    "update_contact",
    "create_task",
    "webhook",
    "exit",
)
POLICIES = ("once", "each_entry", "unless_active", "backfill")


def program_columns() -> list[sa.Column[Any]]:
    """The program that a row belongs to: its kind and its number within the kind."""
    return [
        sa.Column("program_kind", sa.Text, nullable=False, comment="campaign, sequence or journey"),
        sa.Column(
            "program_id",
            sa.BigInteger,
            nullable=False,
            comment="Number of the program within its kind",
        ),
    ]


def of_a_kind() -> sa.CheckConstraint:
    """The kinds there are."""
    return sa.CheckConstraint(one_of("program_kind", KINDS), name="program_kind")


steps = sa.Table(
    "steps",
    metadata,
    identity("Step number"),
    organization_id(),
    *program_columns(),
    sa.Column("external_id", sa.Text, nullable=False, comment="Name of the step in its program"),
    sa.Column("name", sa.Text, comment="Display name"),
    sa.Column("position", sa.Integer, nullable=False, comment="Steps are done in this order"),
    sa.Column(
        "type",
        sa.Text,
        nullable=False,
        comment="send_email, send_sms, send_push, wait, branch, wait_for, split, update_contact, "
        "create_task, webhook or exit",
    ),
    json_object("config", "Configuration of the step, by its type"),
    sa.Column(
        "enabled",
        sa.Boolean,
        nullable=False,
        server_default=sa.true(),
        comment="True if contacts do the step; otherwise they pass it",
    ),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.Column(
        "is_edited",
        sa.Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="True if it changed since the last pass; a trigger writes it",
    ),
    sa.UniqueConstraint("program_kind", "program_id", "external_id"),
    of_a_kind(),
    sa.CheckConstraint(one_of("type", STEP_TYPES), name="type"),
    sa.Index("ix_steps_is_edited", "program_kind", postgresql_where=sa.text("is_edited")),
    info=owned(keep=FOR_EVER),
    schema="lifecycle",
    comment="Steps of programs",
)

enrolments = sa.Table(
    "enrolments",
    metadata,
    identity("Enrolment number"),
    organization_id(),
    *program_columns(),
    sa.Column(
        "contact_id",
        sa.BigInteger,
        sa.ForeignKey("crm.contacts.id"),
        nullable=False,
        comment="Contact",
    ),
    sa.Column(
        "rotation",
        sa.Integer,
        nullable=False,
        server_default="1",
        comment="Counts the times that the contact entered the program",
    ),
    sa.Column(
        "status",
        sa.Text,
        nullable=False,
        server_default="active",
        comment="active, completed, exited, canceled (exited because nothing moved it) or failed",
    ),
    sa.Column(
        "step_id",
        sa.BigInteger,
        comment="Step that the contact has reached; null = before the first",
    ),
    instant("arrived_at", "Tick at which it came there, or the event that let the contact in"),
    instant("next_step_at", "Not to be moved on before this"),
    sa.Column("awaits", sa.Text, comment="Event type that it awaits there; null = none"),
    instant("entered_at", "When the contact entered: the event, else the tick", nullable=False),
    instant("completed_at", "When the contact went through the last step"),
    instant("exited_at", "When the contact left before the last step"),
    instant("failed_at", "When a step could not be done for the contact"),
    sa.Column("reason", sa.Text, comment="Why it was exited, canceled or failed"),
    sa.Column(
        "trigger_id", sa.BigInteger, comment="Trigger that enrolled the contact; null = none"
    ),
    sa.Column("entry", sa.Text, comment="Cause of the entry: once per trigger and contact"),
    sa.UniqueConstraint("program_kind", "program_id", "contact_id", "rotation"),
    of_a_kind(),
    sa.CheckConstraint(
        "status in ('active', 'completed', 'exited', 'canceled', 'failed')", name="status"
    ),
    sa.CheckConstraint("status <> 'active' or next_step_at is not null", name="next_step_at"),
    sa.Index(
        "ix_enrolments_due",
        "program_kind",
        "program_id",
        "next_step_at",
        "id",
        postgresql_where=sa.text("status = 'active'"),
    ),
    sa.Index(
        "ix_enrolments_awaiting",
        "contact_id",
        "awaits",
        postgresql_where=sa.text("awaits is not null"),
    ),
    sa.Index(
        "uq_enrolments_entry",
        "trigger_id",
        "contact_id",
        "entry",
        unique=True,
        postgresql_where=sa.text("trigger_id is not null"),
    ),
    sa.Index(
        "ix_enrolments_entered_at",
        "entered_at",
        "program_id",
        postgresql_where=sa.text("program_kind = 'campaign'"),
    ),
    sa.Index(
        "ix_enrolments_completed_at",
        "completed_at",
        "program_id",
        postgresql_where=sa.text("program_kind = 'campaign' and completed_at is not null"),
    ),
    sa.Index(
        "ix_enrolments_exited_at",
        "exited_at",
        "program_id",
        postgresql_where=sa.text("program_kind = 'campaign' and exited_at is not null"),
    ),
    info=owned(
        keep=FOR_EVER,
        person=Person(by="contact_id", erase="empty", mask=("entry",)),
        mentions=("reason",),
    ),
    schema="lifecycle",
    comment="Contacts in programs: step, status and next time",
)

step_results = sa.Table(
    "step_results",
    metadata,
    sa.Column(
        "enrolment_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="Enrolment"
    ),
    sa.Column("step_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="Step"),
    sa.Column(
        "outcome",
        sa.Text,
        nullable=False,
        comment="done, yes or no (of branch and wait_for), way (of split), skipped, exited, "
        "canceled or failed",
    ),
    sa.Column("reason", sa.Text, comment="Reason; null if the outcome is enough"),
    instant("at", "Tick at which it was done", nullable=False),
    sa.Column("way", sa.Text, comment="Name of the way that the contact went from a split"),
    sa.CheckConstraint(
        "outcome in ('done', 'yes', 'no', 'way', 'skipped', 'exited', 'canceled', 'failed')",
        name="outcome",
    ),
    sa.CheckConstraint("(outcome = 'way') = (way is not null)", name="way"),
    sa.Index("ix_step_results_at", "at"),
    info=owned(
        keep=Keep(
            "at",
            days=400,
            where="exists (select from lifecycle.enrolments where enrolments.id = enrolment_id "
            "and coalesce(completed_at, exited_at, failed_at) < :before)",
        ),
        person=Person(by="enrolment_id", of="lifecycle.enrolments", erase="keep"),
        mentions=("reason",),
    ),
    schema="lifecycle",
    comment="Results of steps: at most one per enrolment and step",
)

goals = sa.Table(
    "goals",
    metadata,
    sa.Column(
        "enrolment_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="Enrolment"
    ),
    instant("at", "When it was reached: the event, else the tick", nullable=False),
    sa.Column("event_id", sa.Text, comment="Event that reached it; null = a rule or segment"),
    info=owned(
        keep=FOR_EVER,
        person=Person(
            by="enrolment_id", of="lifecycle.enrolments", erase="empty", mask=("event_id",)
        ),
    ),
    schema="lifecycle",
    comment="Enrolments that reached the goal of their program, each once",
)

triggers = sa.Table(
    "triggers",
    metadata,
    identity("Trigger number"),
    organization_id(),
    *program_columns(),
    sa.Column("external_id", sa.Text, nullable=False, comment="Name of it in its program"),
    sa.Column("type", sa.Text, nullable=False, comment="segment, event or date"),
    sa.Column(
        "segment_id",
        sa.BigInteger,
        sa.ForeignKey("segments.segments.id", ondelete="SET NULL"),
        comment="Segment whose new members it enrols",
    ),
    sa.Column("event_type", sa.Text, comment="Type of the events that enrol their contact"),
    json_object("config", "Of an event: where; of a date: attribute, days before, yearly, at"),
    sa.Column(
        "policy",
        sa.Text,
        nullable=False,
        server_default="once",
        comment="once = a contact enters once ever; each_entry = every time; unless_active = every "
        "time but while it is in the program; backfill = once, earlier members and events included",
    ),
    sa.Column(
        "enabled", sa.Boolean, nullable=False, server_default=sa.true(), comment="True if it works"
    ),
    instant(
        "evaluated_at",
        "Instant up to which it has enrolled contacts; null = never evaluated, or reads all "
        "events again",
    ),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("program_kind", "program_id", "external_id"),
    of_a_kind(),
    sa.CheckConstraint("type in ('segment', 'event', 'date')", name="type"),
    sa.CheckConstraint(one_of("policy", POLICIES), name="policy"),
    info=owned(keep=FOR_EVER),
    schema="lifecycle",
    comment="Triggers that enrol contacts in programs",
)

awaited_events = sa.Table(
    "awaited_events",
    metadata,
    sa.Column(
        "purpose",
        sa.Text,
        primary_key=True,
        comment="wait (steps), trigger, or the kind of program whose exit or goal it is",
    ),
    sa.Column(
        "organization_id",
        sa.BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="Organization (tenant)",
    ),
    sa.Column("event_type", sa.Text, primary_key=True, comment="Event type"),
    info=owned(keep=FOR_EVER),
    schema="lifecycle",
    comment="Event types that a step or trigger awaits or awaited; triggers collect them",
)

event_arrivals = sa.Table(
    "event_arrivals",
    metadata,
    identity("Row number"),
    sa.Column(
        "purpose",
        sa.Text,
        nullable=False,
        comment="wait (steps), trigger, or the kind of program whose exit or goal it is",
    ),
    sa.Column("organization_id", sa.BigInteger, nullable=False, comment="Organization (tenant)"),
    sa.Column("contact_id", sa.BigInteger, nullable=False, comment="Contact"),
    sa.Column("event_type", sa.Text, nullable=False, comment="Event type"),
    sa.Column("event_id", sa.Text, nullable=False, comment="Event"),
    instant("occurred_at", "When it happened", nullable=False),
    sa.Column(
        "seen_by",
        sa.BigInteger,
        comment="Transaction that saw it first; it stays until the ones open then have ended",
    ),
    sa.Index("ix_event_arrivals_purpose", "purpose", "id"),
    info=owned(keep=EMPTIED, person=Person(by="contact_id", erase="delete", export=False)),
    schema="lifecycle",
    comment="Awaited events since the last pass; triggers write it in the event's own transaction",
)

contact_changes = sa.Table(
    "contact_changes",
    metadata,
    identity("Row number"),
    sa.Column("program_kind", sa.Text, nullable=False, comment="campaign, sequence or journey"),
    sa.Column("organization_id", sa.BigInteger, nullable=False, comment="Organization (tenant)"),
    sa.Column("contact_id", sa.BigInteger, comment="Contact; null = all of the organization"),
    sa.Column(
        "change",
        sa.Text,
        nullable=False,
        comment="zone = its time zone changed; unreachable = it unsubscribed, complained or "
        "bounced",
    ),
    instant("at", "Passes with a later tick read it; null = every pass"),
    of_a_kind(),
    sa.CheckConstraint("change in ('zone', 'unreachable')", name="change"),
    sa.Index("ix_contact_changes_program_kind", "program_kind", "change", "id"),
    info=owned(keep=EMPTIED, person=Person(by="contact_id", erase="delete", export=False)),
    schema="lifecycle",
    comment="Changes of contacts that passes of the step engine have not read yet; triggers "
    "write them",
)
