"""Tables of the schema `crm`."""

import sqlalchemy as sa

from marketing_pipelines.stores.ownership import FOR_EVER, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    one_of,
    organization_id,
)

SOURCES = ("import", "manual", "form", "api", "stub")


def _external_id() -> sa.Column[str]:
    return sa.Column(
        "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
    )


def _created_at() -> sa.Column[object]:
    return instant(
        "created_at", "When the row came to be", nullable=False, server_default=sa.func.now()
    )


organizations = sa.Table(
    "organizations",
    metadata,
    identity("Organization number"),
    sa.Column(
        "external_id",
        sa.Text,
        nullable=False,
        unique=True,
        comment="Id in the system the row comes from",
    ),
    sa.Column("name", sa.Text, comment="Display name"),
    sa.Column("timezone", sa.Text, comment="IANA zone; null = the reporting zone"),
    json_object("settings", "Settings that this organization changed from their defaults"),
    json_object("attributes", "Columns of loaded files that have no column here"),
    _created_at(),
    info=owned(keep=FOR_EVER),
    schema="crm",
    comment="Tenants",
)

users = sa.Table(
    "users",
    metadata,
    identity("User number"),
    organization_id(),
    _external_id(),
    sa.Column("email", sa.Text, comment="Address for notifications"),
    sa.Column(
        "notify_by_mail",
        sa.Boolean,
        nullable=False,
        server_default=sa.true(),
        comment="True if notifications go out as mail too",
    ),
    sa.Column("name", sa.Text, comment="Display name"),
    sa.Column(
        "role", sa.Text, nullable=False, server_default="rep", comment="admin, manager or rep"
    ),
    json_object("attributes", "Columns of loaded files that have no column here"),
    _created_at(),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint("role in ('admin', 'manager', 'rep')", name="role"),
    info=owned(keep=FOR_EVER),
    schema="crm",
    comment="Users of the platform",
)

companies = sa.Table(
    "companies",
    metadata,
    identity("Company number"),
    organization_id(),
    _external_id(),
    sa.Column("name", sa.Text, comment="Display name"),
    sa.Column("domain", sa.Text, comment="Web domain"),
    json_object("attributes", "Columns of loaded files that have no column here"),
    _created_at(),
    sa.UniqueConstraint("organization_id", "external_id"),
    info=owned(keep=FOR_EVER),
    schema="crm",
    comment="Companies that contacts work for",
)

contacts = sa.Table(
    "contacts",
    metadata,
    identity("Contact number"),
    organization_id(),
    _external_id(),
    sa.Column("email", sa.Text, comment="E-mail address"),
    sa.Column("phone", sa.Text, comment="Phone number"),
    sa.Column("first_name", sa.Text, comment="First name"),
    sa.Column("last_name", sa.Text, comment="Last name"),
    sa.Column(
        "company_id",
        sa.BigInteger,
        sa.ForeignKey("crm.companies.id"),
        comment="Company the contact works for",
    ),
    sa.Column(
        "owner_id",
        sa.BigInteger,
        sa.ForeignKey("crm.users.id"),
        comment="User responsible for the contact",
    ),
    sa.Column("lifecycle_stage", sa.Text, comment="lead, mql, sql, opportunity, customer"),
    sa.Column("lead_grade", sa.Text, comment="A to F, from the lead score"),
    sa.Column("intent_score", sa.Integer, comment="Sum of the contact's signals after their decay"),
    sa.Column("timezone", sa.Text, comment="IANA zone; null = the organization's"),
    sa.Column(
        "source",
        sa.Text,
        nullable=False,
        server_default="import",
        comment="import, manual, form, api (only messages of an application named it) or stub "
        "(only rows about it did)",
    ),
    json_object("attributes", "Columns of loaded files that have no column here"),
    _created_at(),
    sa.CheckConstraint(one_of("source", SOURCES), name="source"),
    sa.UniqueConstraint("organization_id", "external_id"),
    *(
        sa.Index(
            f"ix_contacts_{channel}_address",
            "organization_id",
            sa.text(f"delivery.address_of('{channel}', {column})"),
        )
        for channel, column in (("email", "email"), ("sms", "phone"))
    ),
    sa.Index(
        "ix_contacts_push_address",
        "organization_id",
        sa.text("delivery.address_of('push', attributes ->> 'push_token')"),
        postgresql_where=sa.text("(attributes ->> 'push_token') is not null"),
    ),
    info=owned(
        keep=FOR_EVER,
        person=Person(
            by="id",
            erase="empty",
            mask=("external_id", "email", "phone", "first_name", "last_name", "attributes"),
        ),
    ),
    schema="crm",
    comment="Contacts: people who receive mail and cause events",
)

tasks = sa.Table(
    "tasks",
    metadata,
    identity("Task number"),
    organization_id(),
    sa.Column("contact_id", sa.BigInteger, comment="Contact that it is about"),
    sa.Column("owner_id", sa.BigInteger, comment="Assigned user; null = unassigned"),
    sa.Column("title", sa.Text, nullable=False, comment="Title of the task"),
    sa.Column(
        "state", sa.Text, nullable=False, server_default="open", comment="open, done or dropped"
    ),
    instant("due_at", "When it should be done"),
    sa.Column("job", sa.Text, nullable=False, comment="Asset key of the job that made it"),
    sa.Column("subject", sa.Text, nullable=False, comment="Origin, e.g. step 17 contact 5"),
    sa.Column(
        "period", sa.Text, nullable=False, comment="Rotation; one task per subject and period"
    ),
    instant("created_at", "Tick at which it was made", nullable=False),
    sa.UniqueConstraint("organization_id", "job", "subject", "period"),
    sa.CheckConstraint("state in ('open', 'done', 'dropped')", name="state"),
    sa.Index("ix_tasks_contact_id", "contact_id", postgresql_where=sa.text("state = 'open'")),
    info=owned(keep=FOR_EVER, person=Person(by="contact_id", erase="delete")),
    schema="crm",
    comment="Tasks for users",
)
