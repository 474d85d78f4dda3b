"""Tables of the schema `segments`."""

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


def _segment_id(**options: object) -> sa.Column[int]:
    return sa.Column(
        "segment_id",
        sa.BigInteger,
        sa.ForeignKey("segments.segments.id", ondelete="CASCADE"),
        nullable=False,
        comment="Segment",
        **options,  # type: ignore[arg-type]
    )


segments = sa.Table(
    "segments",
    metadata,
    identity("Segment number"),
    organization_id(),
    sa.Column(
        "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
    ),
    sa.Column("name", sa.Text, comment="Display name"),
    sa.Column(
        "rule",
        pg.JSONB,
        nullable=False,
        server_default=sa.text("""'{"any": []}'::jsonb"""),
        comment='Rule of membership; {"any": []} = manual members only',
    ),
    sa.Column(
        "version",
        sa.Integer,
        nullable=False,
        server_default="1",
        comment="Number of rules it has had; a trigger raises it",
    ),
    sa.Column(
        "evaluated",
        sa.Text,
        nullable=False,
        server_default="always",
        comment="always, or on_use = only while an evaluated segment refers to it",
    ),
    json_object("attributes", "Columns of loaded files that have no column here"),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint("evaluated in ('always', 'on_use')", name="evaluated"),
    info=owned(keep=FOR_EVER),
    schema="segments",
    comment="Segments and their rules",
)

manual_members = sa.Table(
    "manual_members",
    metadata,
    identity("Row number"),
    organization_id(),
    _segment_id(),
    sa.Column("contact_id", sa.BigInteger, nullable=False, comment="Contact"),
    sa.Column(
        "action",
        sa.Text,
        nullable=False,
        comment="add or remove, which override the rule; clear = the rule decides",
    ),
    sa.UniqueConstraint("segment_id", "contact_id"),
    sa.CheckConstraint("action in ('add', 'remove', 'clear')", name="action"),
    info=owned(keep=FOR_EVER, person=Person(by="contact_id", erase="delete")),
    schema="segments",
    comment="Contacts put into a segment or taken out of it by hand",
)

memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("segment_id", sa.BigInteger, nullable=False, comment="Segment"),
    sa.Column("contact_id", sa.BigInteger, nullable=False, comment="Contact"),
    instant("entered_at", "Tick at which the contact was found to belong", nullable=False),
    instant("left_at", "Tick at which it no longer did; null = a member now"),
    sa.Index(
        "uq_memberships_current",
        "segment_id",
        "contact_id",
        unique=True,
        postgresql_where=sa.text("left_at is null"),
    ),
    sa.Index(
        "ix_memberships_contact_id",
        "contact_id",
        "segment_id",
        postgresql_where=sa.text("left_at is null"),
    ),
    sa.Index(
        "ix_memberships_former",
        "contact_id",
        "segment_id",
        postgresql_where=sa.text("left_at is not null"),
    ),
    sa.Index(
        "ix_memberships_entered_at",
        "entered_at",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    ),
    sa.Index("ix_memberships_left_at", "left_at", postgresql_where=sa.text("left_at is not null")),
    info=owned(
        keep=Keep(
            "left_at",
            days=400,
            where="not exists (select from lifecycle.triggers as trigger "
            "join lifecycle.programs as program on program.kind = trigger.program_kind "
            "and program.id = trigger.program_id "
            "where trigger.segment_id = memberships.segment_id "
            "and coalesce(trigger.evaluated_at, program.started_at) <= memberships.entered_at)",
        ),
        person=Person(by="contact_id", erase="delete"),
    ),
    schema="segments",
    comment="Present and former members of segments; present members have no left_at",
)

evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column(
        "segment_id",
        sa.BigInteger,
        sa.ForeignKey("segments.segments.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="Segment",
    ),
    sa.Column("version", sa.Integer, comment="Version of the rule that the members belong to"),
    instant("evaluated_at", "Tick up to which the members are right; null = all to be evaluated"),
    instant("next_change_at", "Time alone can change nothing up to here; null = for ever"),
    sa.Column(
        "members", sa.BigInteger, nullable=False, server_default="0", comment="Current members"
    ),
    sa.Column("attempted_version", sa.Integer, comment="Version that was tried last"),
    instant("attempted_at", "Tick at which it was tried last"),
    sa.Column("held_version", sa.Integer, comment="Version whose result waits for a confirmation"),
    sa.Column("held_removals", sa.BigInteger, comment="Members that it would remove"),
    sa.Column("confirmed_version", sa.Integer, comment="Waiting version that was confirmed"),
    instant(
        "first_evaluated_at",
        "Tick whose members were there from the beginning; null = never evaluated",
    ),
    info=owned(keep=FOR_EVER),
    schema="segments",
    comment="State of the evaluation of each segment",
)

touched_contacts = sa.Table(
    "touched_contacts",
    metadata,
    identity("Row number"),
    sa.Column("organization_id", sa.BigInteger, nullable=False, comment="Organization (tenant)"),
    sa.Column(
        "contact_ids", pg.ARRAY(sa.BigInteger), comment="Contacts that changed; null = too many"
    ),
    sa.Index("ix_touched_contacts_organization_id", "organization_id"),
    info=owned(keep=EMPTIED, person=Person(by="contact_ids", erase="keep", export=False)),
    schema="segments",
    comment="Contacts whose data changed since segments were evaluated; triggers write it",
)

contact_fields = sa.Table(
    "contact_fields",
    metadata,
    sa.Column(
        "organization_id",
        sa.BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="Organization (tenant)",
    ),
    sa.Column("field", sa.Text, primary_key=True, comment="Key of attributes, or dotted path"),
    info=owned(keep=FOR_EVER),
    schema="segments",
    comment="Fields that contacts of the organization have or had; a trigger collects them",
)

event_fields = sa.Table(
    "event_fields",
    metadata,
    sa.Column("organization_id", sa.BigInteger, nullable=False, comment="Organization (tenant)"),
    sa.Column("event_type", sa.Text, nullable=False, comment="Event type as received"),
    sa.Column(
        "field",
        sa.Text,
        nullable=False,
        comment="Key of properties, or dotted path; empty = events of the type were received",
    ),
    sa.Index("ix_event_fields_organization_id_event_type", "organization_id", "event_type"),
    info=owned(keep=FOR_EVER),
    schema="segments",
    comment="Properties that events of a type have or had, the first 500 of each type; a trigger "
    "collects them",
)

daily_sizes = sa.Table(
    "daily_sizes",
    metadata,
    sa.Column(
        "segment_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="Segment"
    ),
    sa.Column("date", sa.Date, primary_key=True, comment="Day in the reporting zone"),
    sa.Column("organization_id", sa.BigInteger, nullable=False, comment="Organization (tenant)"),
    sa.Column("members", sa.BigInteger, nullable=False, comment="Members at the day's end"),
    sa.Column("entered", sa.BigInteger, nullable=False, comment="Contacts that entered that day"),
    sa.Column("exited", sa.BigInteger, nullable=False, comment="Contacts that left that day"),
    sa.Index("ix_daily_sizes_date", "date"),
    info=owned(keep=FOR_EVER),
    schema="segments",
    comment="Daily size of each segment, with entries and exits",
)

daily_overlaps = sa.Table(
    "daily_overlaps",
    metadata,
    sa.Column(
        "segment_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="Segment"
    ),
    sa.Column(
        "other_segment_id",
        sa.BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="Another segment of the organization, with a larger number",
    ),
    sa.Column("date", sa.Date, primary_key=True, comment="Day in the reporting zone"),
    sa.Column("organization_id", sa.BigInteger, nullable=False, comment="Organization (tenant)"),
    sa.Column("members", sa.BigInteger, nullable=False, comment="Members of both at its end"),
    sa.Index("ix_daily_overlaps_date", "date"),
    info=owned(keep=Keep("date", days=90)),
    schema="segments",
    comment="Number of contacts that two segments share; pairs that share none have no row",
)
