"""Notifications of the owners of grants."""

import datetime as dt
from urllib.parse import urlsplit

import sqlalchemy as sa

from marketing_pipelines.domains.crm.notifications.writing import WANTED, write_notifications
from marketing_pipelines.domains.crm.tables import users
from marketing_pipelines.domains.integrations.connections import Connection

JOB = "integrations/credentials"


def notify_of_reconnect(connection: sa.Connection, grant: Connection, now: dt.datetime) -> None:
    """Notifies the owner once that a grant waits; again only after a person has changed it."""
    _notify(
        connection,
        grant,
        now,
        kind="grant_reconnect",
        title=f"Access {grant.external_id} has ended",
        text=f"{_host(grant)} refuses the access '{grant.external_id}' for good. Nothing "
        "that uses it works until it is granted again: sign in there once more and have the new "
        "refresh token stored (`connection set oauth`).",
    )


def notify_of_end(
    connection: sa.Connection, grant: Connection, ends_at: dt.datetime, now: dt.datetime
) -> None:
    """Notifies the owner once that the refresh token of a grant ends and is not prolonged."""
    _notify(
        connection,
        grant,
        now,
        kind="grant_ends",
        title=f"Access {grant.external_id} ends on {ends_at:%Y-%m-%d}",
        text=f"{_host(grant)} ends the access '{grant.external_id}' on {ends_at:%Y-%m-%d %H:%M} "
        "UTC. Sign in there once more before that and have the new refresh token stored "
        "(`connection set oauth`).",
    )


def _host(grant: Connection) -> str:
    return str(urlsplit(grant.settings["token_url"]).hostname)


def _notify(
    connection: sa.Connection,
    grant: Connection,
    now: dt.datetime,
    *,
    kind: str,
    title: str,
    text: str,
) -> None:
    owner = sa.select(users.c.id).where(
        users.c.organization_id == grant.organization_id,
        users.c.external_id == grant.settings.get("owner"),
    )
    values = {
        "user_id": owner.scalar_subquery(),
        "contact_id": sa.cast(None, sa.BigInteger),
        "kind": sa.literal(kind),
        "title": sa.literal(title),
        "text": sa.literal(text),
        "ref": sa.literal(f"connection:{grant.id}"),
        "subject": sa.literal(f"connection {grant.id}"),
        "period": sa.literal(grant.changed_at.astimezone(dt.UTC).isoformat()),
    }
    wanted = sa.select(*(values[column.name].label(column.name) for column in WANTED))
    write_notifications(
        connection, wanted, organization_id=grant.organization_id, job=JOB, tick=now
    )
