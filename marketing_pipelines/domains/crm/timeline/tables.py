"""Tables of activities, meetings and tasks."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import FOR_EVER, Keep, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    one_of,
    organization_id,
)

ACTIVITY_KINDS = ("email", "call", "meeting", "note", "task", "other")
DIRECTIONS = ("in", "out")
MEETING_STATUSES = ("planned", "cancelled")
TASK_STATES = ("open", "done", "dropped")

activities = sa.Table(
    "activities",
    metadata,
    identity("Activity number"),
    organization_id(),
    sa.Column(
        "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
    ),
    sa.Column("kind", sa.Text, nullable=False, comment=", ".join(ACTIVITY_KINDS)),
    sa.Column("direction", sa.Text, comment="in: from the contact; out: to it; null = neither"),
    sa.Column(
        "contact_id",
        sa.BigInteger,
        sa.ForeignKey("crm.contacts.id"),
        comment="Contact; null = none is known",
    ),
    sa.Column(
        "deal_id",
        sa.BigInteger,
        sa.ForeignKey("crm.deals.id"),
        comment="Deal; null = it belongs to the deals of the contact",
    ),
    sa.Column(
        "company_id", sa.BigInteger, sa.ForeignKey("crm.companies.id"), comment="Company, if named"
    ),
    sa.Column(
        "user_id", sa.BigInteger, sa.ForeignKey("crm.users.id"), comment="User who took part"
    ),
    instant("occurred_at", "When it happened", nullable=False),
    sa.Column("subject", sa.Text, comment="Subject or title"),
    sa.Column("text", sa.Text, comment="Text"),
    sa.Column(
        "source",
        sa.Text,
        nullable=False,
        server_default="file",
        comment="Way in: file, or the part that wrote it",
    ),
    sa.Column("ref", sa.Text, comment="Row that it stands for, such as message 17"),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint(one_of("kind", ACTIVITY_KINDS), name="kind"),
    sa.CheckConstraint(one_of("direction", DIRECTIONS), name="direction"),
    sa.Index("ix_activities_contact_id", "contact_id", "occurred_at"),
    sa.Index(
        "ix_activities_deal_id",
        "deal_id",
        "occurred_at",
        postgresql_where=sa.text("deal_id is not null"),
    ),
    sa.Index("ix_activities_organization_id_occurred_at", "organization_id", "occurred_at"),
    info=owned(
        keep=FOR_EVER,
        person=Person(by="contact_id", otherwise=("deal_id", "crm.deals"), erase="delete"),
    ),
    schema="crm",
    comment="E-mails, calls, meetings, notes and so on between users and contacts",
)

meetings = sa.Table(
    "meetings",
    metadata,
    identity("Meeting number"),
    organization_id(),
    sa.Column(
        "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
    ),
    sa.Column("title", sa.Text, comment="Title"),
    instant("starts_at", "Begin", nullable=False),
    instant("ends_at", "End"),
    sa.Column(
        "owner_id", sa.BigInteger, sa.ForeignKey("crm.users.id"), comment="User who holds it"
    ),
    sa.Column(
        "deal_id",
        sa.BigInteger,
        sa.ForeignKey("crm.deals.id"),
        comment="Deal; null = it belongs to the open deals of the attending contacts",
    ),
    sa.Column(
        "attendees",
        pg.ARRAY(sa.Text),
        nullable=False,
        server_default=sa.text("'{}'::text[]"),
        comment="Addresses or external ids of contacts, as given",
    ),
    sa.Column(
        "status",
        sa.Text,
        nullable=False,
        server_default="planned",
        comment="planned or cancelled",
    ),
    json_object("attributes", "Columns of loaded files that have no column here"),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint(one_of("status", MEETING_STATUSES), name="status"),
    sa.CheckConstraint("ends_at >= starts_at", name="ends_at"),
    sa.Index("ix_meetings_starts_at", "starts_at"),
    sa.Index("ix_meetings_deal_id", "deal_id", postgresql_where=sa.text("deal_id is not null")),
    info=owned(
        keep=FOR_EVER,
        person=Person(by="attendees", erase="empty", mask=("title", "attendees", "attributes")),
    ),
    schema="crm",
    comment="Meetings of users with contacts",
)

meeting_attendees = sa.Table(
    "meeting_attendees",
    metadata,
    sa.Column(
        "meeting_id",
        sa.BigInteger,
        sa.ForeignKey("crm.meetings.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="Meeting",
    ),
    sa.Column(
        "position",
        sa.Integer,
        primary_key=True,
        autoincrement=False,
        comment="Position among the attendees, from 1",
    ),
    organization_id(),
    sa.Column("attendee", sa.Text, nullable=False, comment="Address or external id, as given"),
    sa.Column("address", sa.Text, nullable=False, comment="The same as a normalised address"),
    sa.Index("ix_meeting_attendees_attendee", "organization_id", "attendee"),
    sa.Index("ix_meeting_attendees_address", "organization_id", "address"),
    info=owned(keep=FOR_EVER, person=Person(by="attendee", addresses=("address",), erase="delete")),
    schema="crm",
    comment="Attendees of meetings, one a row, written by a trigger; `crm.meeting_contacts` leads "
    "to their contacts",
)

tasks = sa.Table(
    "tasks",
    metadata,
    identity("Task number"),
    organization_id(),
    sa.Column("external_id", sa.Text, comment="Id in the system the row comes from; null = a job"),
    sa.Column("contact_id", sa.BigInteger, comment="Contact that it is about"),
    sa.Column("deal_id", sa.BigInteger, comment="Deal that it is about"),
    sa.Column("owner_id", sa.BigInteger, comment="Assigned user; null = unassigned"),
    sa.Column("title", sa.Text, nullable=False, comment="Title of the task"),
    sa.Column(
        "state", sa.Text, nullable=False, server_default="open", comment="open, done or dropped"
    ),
    instant("due_at", "When it should be done"),
    instant("done_at", "When it was done; a trigger keeps it null in other states"),
    sa.Column(
        "job",
        sa.Text,
        nullable=False,
        comment="Asset key of the job that made it; `file` = a loaded file",
    ),
    sa.Column("subject", sa.Text, nullable=False, comment="Origin, e.g. step 17 contact 5"),
    sa.Column(
        "period", sa.Text, nullable=False, comment="Rotation; one task per subject and period"
    ),
    instant("created_at", "Tick at which it was made", nullable=False),
    sa.UniqueConstraint("organization_id", "job", "subject", "period"),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint(one_of("state", TASK_STATES), name="state"),
    sa.Index("ix_tasks_contact_id", "contact_id", postgresql_where=sa.text("state = 'open'")),
    sa.Index("ix_tasks_deal_id", "deal_id", postgresql_where=sa.text("deal_id is not null")),
    sa.Index(
        "ix_tasks_done_at",
        "organization_id",
        "done_at",
        postgresql_where=sa.text("done_at is not null"),
    ),
    sa.Index("ix_tasks_done", "done_at", postgresql_where=sa.text("done_at is not null")),
    info=owned(
        keep=Keep(
            "done_at",
            days=400,
            where="job <> 'leads/follow_ups' or not exists (select from crm.contacts "
            "where contacts.id = tasks.contact_id and contacts.next_follow_up_at is not null)",
        ),
        person=Person(by="contact_id", otherwise=("deal_id", "crm.deals"), erase="delete"),
    ),
    schema="crm",
    comment="Tasks for users",
)
