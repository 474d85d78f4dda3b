"""Tables of the schema `crm`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

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
BANDS = ("high", "medium", "low")
LEAD_STATUSES = ("new", "working", "nurturing", "recycled", "lost", "unqualified")


def _external_id() -> sa.Column[str]:
    return sa.Column(
        "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
    )


def _texts(name: str, comment: str) -> sa.Column[list[str]]:
    return sa.Column(
        name,
        pg.ARRAY(sa.Text),
        nullable=False,
        server_default=sa.text("'{}'::text[]"),
        comment=comment,
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
        comment="True if notifications go out as mail too; null = in production only",
    ),
    sa.Column("name", sa.Text, comment="Display name"),
    sa.Column(
        "role", sa.Text, nullable=False, server_default="rep", comment="admin, manager or rep"
    ),
    sa.Column(
        "active",
        sa.Boolean,
        nullable=False,
        server_default=sa.true(),
        comment="False if no contact is assigned to the user any more",
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
    sa.Column("lead_score", sa.Integer, comment="Sum of the points of score rules, 0 to 100"),
    sa.Column("intent_score", sa.Integer, comment="Sum of the contact's signals after their decay"),
    sa.Column(
        "intent_band", sa.Text, comment="high, medium or low: the band announced last; null = none"
    ),
    sa.Column("lead_status", sa.Text, comment=", ".join(LEAD_STATUSES)),
    instant("lead_status_at", "When the lead status changed"),
    instant("lifecycle_stage_at", "When the stage changed; null = at `created_at`"),
    sa.Column("manual_override", sa.Boolean, comment="True if no job may change the stage"),
    instant("enriched_at", "When an enrichment provider was last asked about the contact"),
    _texts("enriched_fields", "Columns and attributes that the enrichment provider set"),
    instant("next_follow_up_at", "When a user wants to be reminded of the contact"),
    sa.Column("follow_up_note", sa.Text, comment="Note for that follow-up"),
    _texts("tags", "Tags"),
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
    sa.CheckConstraint("lead_score between 0 and 100", name="lead_score"),
    sa.CheckConstraint(one_of("intent_band", BANDS), name="intent_band"),
    sa.CheckConstraint(one_of("lead_status", LEAD_STATUSES), name="lead_status"),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.Index("ix_contacts_of_requests", "id", postgresql_where=sa.text("source = 'api'")),
    sa.Index("ix_contacts_organization_id_created_at", "organization_id", "created_at"),
    sa.Index(
        "ix_contacts_next_follow_up_at",
        "next_follow_up_at",
        postgresql_where=sa.text("next_follow_up_at is not null"),
    ),
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
            mask=(
                "external_id",
                "email",
                "phone",
                "first_name",
                "last_name",
                "follow_up_note",
                "tags",
                "attributes",
                "company_id",
                "timezone",
                "enriched_fields",
                "next_follow_up_at",
            ),
        ),
    ),
    schema="crm",
    comment="Contacts: people who receive mail and cause events",
)
