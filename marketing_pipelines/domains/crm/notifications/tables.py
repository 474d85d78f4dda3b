"""The table of notifications, in the schema `crm`."""

import sqlalchemy as sa

from marketing_pipelines.stores.ownership import Keep, Person, owned
from marketing_pipelines.stores.tables import identity, instant, metadata, organization_id

notifications = sa.Table(
    "notifications",
    metadata,
    identity("Notification number"),
    organization_id(),
    sa.Column("user_id", sa.BigInteger, nullable=False, comment="User that gets it"),
    sa.Column("contact_id", sa.BigInteger, comment="Contact that it is about; null = none"),
    sa.Column("kind", sa.Text, nullable=False, comment="Kind, e.g. stale_deal or meeting_brief"),
    sa.Column("title", sa.Text, nullable=False, comment="One line"),
    sa.Column("text", sa.Text, nullable=False, comment="Its sentences"),
    sa.Column("ref", sa.Text, comment="Row that it is about, e.g. deal:17"),
    sa.Column("job", sa.Text, nullable=False, comment="Asset key of the job that wrote it"),
    sa.Column("subject", sa.Text, nullable=False, comment="Origin, e.g. deal 17"),
    sa.Column("period", sa.Text, nullable=False, comment="One notification per subject and period"),
    instant("created_at", "Tick at which it was written", nullable=False),
    instant("read_at", "When it was marked as read; null = unread"),
    instant("mailed_at", "Tick whose mail has it; null = no mail has it"),
    sa.UniqueConstraint("job", "kind", "subject", "period", "user_id"),
    sa.Index("ix_notifications_organization_id", "organization_id", "id"),
    sa.Index("ix_notifications_user_id", "user_id", "id"),
    sa.Index(
        "ix_notifications_read_at", "read_at", postgresql_where=sa.text("read_at is not null")
    ),
    info=owned(
        keep=Keep("read_at", days=400),
        person=Person(by="contact_id", erase="delete"),
        mentions=("title", "text"),
    ),
    schema="crm",
    comment="Notifications of users, each written once per job, kind, subject, period and user",
)
