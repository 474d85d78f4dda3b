"""Notifications of users, with one mail for those of one tick."""

import datetime as dt
from functools import cache
from importlib import resources
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.notifications.tables import notifications
from marketing_pipelines.domains.crm.notifications.writing import (
    WANTED,
    WrittenNotifications,
    write_notifications,
)
from marketing_pipelines.domains.crm.tables import users
from marketing_pipelines.domains.delivery import contents
from marketing_pipelines.domains.delivery.named_templates.catalog import Catalog, Wanted
from marketing_pipelines.domains.delivery.notify import notify_workers
from marketing_pipelines.domains.integrations.grant_owners import JOB as GRANTS
from marketing_pipelines.settings import get_settings

__all__ = ["WANTED", "mail_of_grants", "notify"]
TEMPLATE = "notification"
MAX_IN_MAIL = 50
# Earlier notifications, of a time without the sensor, are on their page.
MAX_AGE_OF_MAIL = dt.timedelta(days=1)


def notify(
    connection: sa.Connection,
    wanted: sa.Select[Any] | sa.TextualSelect,
    *,
    organization_id: int,
    job: str,
    tick: dt.datetime,
) -> WrittenNotifications:
    """Notifies users: writes `crm.notifications` and mails them, all in one statement each.

    Each (job, kind, subject, period, user) is written once, however often this is called, and a
    user with `notify_by_mail` gets the new ones of a call in one mail. Call it once per
    organization and tick, in the transaction that does the rest of the work:

        notify(connection, sa.text(SQL).bindparams(tick=…).columns(*WANTED),
               organization_id=7, job="leads/follow_ups", tick=tick.instant)

    Args:
        wanted: Has the columns `WANTED`, by these names: user_id, contact_id, kind, title, text,
            ref, subject, period. A `user_id` that is null, inactive or of another organization
            stands for the organization's active admins, and the text then says so.
        job: Asset key.

    Raises:
        UnknownNameError: the organization's template `notification` is not one of mails.
    """
    written = write_notifications(
        connection, wanted, organization_id=organization_id, job=job, tick=tick
    )
    if written.written:
        _mail(connection, organization_id, job, tick)
    return written


def mail_of_grants(connection: sa.Connection, now: dt.datetime) -> None:
    """Mails the notifications of grants, which are written where no mail can be queued.

    A refresh happens in any process and below this domain; the sensor of due messages mails them.
    """
    pending = sa.select(notifications.c.organization_id, notifications.c.created_at).distinct()
    pending = pending.join(users, users.c.id == notifications.c.user_id).where(
        notifications.c.job == GRANTS,
        notifications.c.mailed_at.is_(None),
        notifications.c.created_at > now - MAX_AGE_OF_MAIL,
        sa.func.coalesce(users.c.notify_by_mail, get_settings().env == "production"),
    )
    for row in connection.execute(pending).all():
        _mail(connection, row.organization_id, GRANTS, row.created_at)


def _mail(connection: sa.Connection, organization_id: int, job: str, tick: dt.datetime) -> None:
    """Queues a mail to each user with notifications of this job and tick that no mail has."""
    catalog = Catalog.read(connection, [organization_id], [TEMPLATE])
    outgoing = catalog.outgoing(
        organization_id, Wanted("email", template=TEMPLATE, kind="transactional")
    )
    mails = connection.execute(
        _sql("mail"),
        {
            "organization_id": organization_id,
            "job": job,
            "tick": tick,
            "by_default": get_settings().env == "production",
            "most": MAX_IN_MAIL,
            "priority": outgoing.priority,
            "domain_id": outgoing.domain_id,
            "content_id": contents.store(connection, {0: (organization_id, outgoing.content)})[0],
        },
    ).scalar_one()
    if mails:
        notify_workers(connection, ["email"])


@cache
def _sql(name: str) -> sa.TextClause:
    folder = resources.files(__package__) / "sql" / "notifications"
    return sa.text((folder / f"{name}.sql").read_text(encoding="utf-8"))
