"""Notifications as applications see them, and marking one as read."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.notifications.tables import notifications
from marketing_pipelines.domains.crm.tables import organizations, users


@dataclass(frozen=True)
class Notification:
    """A notification of a user.

    Attributes:
        organization: External id.
        user: External id.
        kind: stale_deal, meeting_brief and so on.
        title: One line.
        text: Its sentences.
        ref: Row that it is about, e.g. deal:17; None: it is about no row.
        job: Asset key of the job that wrote it.
        created_at: Tick at which it was written.
        read_at: When it was marked as read; None: it is unread.
        mailed_at: Tick whose mail has it; None: no mail has it.
    """

    id: int
    organization: str
    user: str
    kind: str
    title: str
    text: str
    ref: str | None
    job: str
    created_at: dt.datetime
    read_at: dt.datetime | None
    mailed_at: dt.datetime | None


def list_notifications(
    connection: sa.Connection,
    organization_id: int,
    *,
    user_id: int | None,
    unread: bool | None,
    before: int | None,
    limit: int,
) -> list[Notification]:
    """The latest notifications of an organization, newest first.

    Args:
        user_id: None: of all users.
        unread: None: read ones and unread ones.
        before: Only those with a smaller number.
    """
    wanted = _shown().where(notifications.c.organization_id == organization_id)
    if user_id is not None:
        wanted = wanted.where(notifications.c.user_id == user_id)
    if unread is not None:
        is_unread = notifications.c.read_at.is_(None)
        wanted = wanted.where(is_unread if unread else ~is_unread)
    if before is not None:
        wanted = wanted.where(notifications.c.id < before)
    return _read(connection, wanted.order_by(notifications.c.id.desc()).limit(limit))


def mark_read(
    connection: sa.Connection, number: int, organization_id: int | None, *, now: dt.datetime
) -> Notification | None:
    """Marks a notification as read; the first time counts.

    Args:
        organization_id: Its organization; None: any.

    Returns:
        None: there is no such notification of this organization.
    """
    own = [notifications.c.id == number]
    if organization_id is not None:
        own.append(notifications.c.organization_id == organization_id)
    connection.execute(
        sa.update(notifications).where(*own, notifications.c.read_at.is_(None)).values(read_at=now)
    )
    found = _read(connection, _shown().where(*own))
    return found[0] if found else None


def _shown() -> sa.Select[Any]:
    own = notifications.c
    return (
        sa.select(
            own.id,
            organizations.c.external_id.label("organization"),
            users.c.external_id.label("user"),
            own.kind,
            own.title,
            own.text,
            own.ref,
            own.job,
            own.created_at,
            own.read_at,
            own.mailed_at,
        )
        .join(organizations, organizations.c.id == own.organization_id)
        .join(users, users.c.id == own.user_id)
    )


def _read(connection: sa.Connection, wanted: sa.Select[Any]) -> list[Notification]:
    rows: Sequence[sa.Row[Any]] = connection.execute(wanted).all()
    return [Notification(**row._mapping) for row in rows]
