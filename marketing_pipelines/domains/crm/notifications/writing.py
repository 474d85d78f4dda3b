"""Writing notifications, for all recipients of an organization in one statement."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.notifications.tables import notifications
from marketing_pipelines.domains.crm.tables import users

# The columns of `wanted`, for `sa.text(…).columns(*WANTED)`.
WANTED: tuple[sa.ColumnClause[object], ...] = (
    sa.column("user_id", sa.BigInteger),
    sa.column("contact_id", sa.BigInteger),
    sa.column("kind", sa.Text),
    sa.column("title", sa.Text),
    sa.column("text", sa.Text),
    sa.column("ref", sa.Text),
    sa.column("subject", sa.Text),
    sa.column("period", sa.Text),
)
TO_ADMINS = "It has no active owner, so all admins get this."


@dataclass(frozen=True)
class WrittenNotifications:
    """Numbers of one call.

    Attributes:
        written: New notifications.
        without_recipient: Wanted ones that no active user could get.
    """

    written: int
    without_recipient: int


def write_notifications(
    connection: sa.Connection,
    wanted: sa.Select[tuple[object, ...]] | sa.TextualSelect,
    *,
    organization_id: int,
    job: str,
    tick: dt.datetime,
) -> WrittenNotifications:
    """Writes notifications that are not there yet; `delivery.notifications.notify` mails them too.

    Args:
        wanted: Has the columns `WANTED`, by these names. A `user_id` that is null, inactive or of
            another organization stands for the active admins; the text then says so.
    """
    asked = wanted.cte("wanted")
    owner, admin = users.alias("owner"), users.alias("admin")
    has_owner = sa.and_(
        owner.c.id == asked.c.user_id,
        owner.c.organization_id == organization_id,
        owner.c.active,
    )
    is_admin = sa.and_(
        admin.c.organization_id == organization_id, admin.c.active, admin.c.role == "admin"
    )
    addressed = (
        sa.select(
            asked,
            sa.func.coalesce(owner.c.id, admin.c.id).label("recipient"),
            owner.c.id.is_(None).label("is_to_admins"),
        )
        .select_from(
            asked.outerjoin(owner, has_owner).outerjoin(
                admin, sa.and_(owner.c.id.is_(None), is_admin)
            )
        )
        .cte("addressed")
    )
    text = sa.case(
        (addressed.c.is_to_admins, addressed.c.text + f" {TO_ADMINS}"), else_=addressed.c.text
    )
    values = {
        "organization_id": sa.literal(organization_id),
        "user_id": addressed.c.recipient,
        "contact_id": addressed.c.contact_id,
        "kind": addressed.c.kind,
        "title": addressed.c.title,
        "text": text,
        "ref": addressed.c.ref,
        "job": sa.literal(job),
        "subject": addressed.c.subject,
        "period": addressed.c.period,
        "created_at": sa.literal(tick, sa.DateTime(timezone=True)),
    }
    written = (
        pg.insert(notifications)
        .from_select(
            list(values),
            sa.select(*values.values())
            .where(addressed.c.recipient.is_not(None))
            .order_by(addressed.c.subject, addressed.c.kind, addressed.c.recipient),
        )
        .on_conflict_do_nothing()
        .returning(notifications.c.id)
        .cte("written")
    )
    row = connection.execute(
        sa.select(
            sa.select(sa.func.count()).select_from(written).scalar_subquery().label("written"),
            sa.select(sa.func.count())
            .select_from(addressed)
            .where(addressed.c.recipient.is_(None))
            .scalar_subquery()
            .label("without_recipient"),
        )
    ).one()
    return WrittenNotifications(row.written, row.without_recipient)
