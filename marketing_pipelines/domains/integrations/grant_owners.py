"""Notifications of the owners of grants."""

import datetime as dt
from urllib.parse import urlsplit

import sqlalchemy as sa

from marketing_pipelines.domains.crm.notifications.writing import WANTED, write_notifications
from marketing_pipelines.domains.crm.tables import users
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.providers import OAuthFields

JOB = "integrations/credentials"


def notify_of_reconnect(
    connection: sa.Connection, grant: Connection, fields: OAuthFields, now: dt.datetime
) -> None:
    """Notifies the owner once that a grant waits; again only after a person has changed it."""
    host = urlsplit(fields.token_url).hostname
    _notify(
        connection,
        grant,
        fields,
        now,
        kind="grant_reconnect",
        period=grant.changed_at.astimezone(dt.UTC).isoformat(),
        title=f"Access {fields.name} has ended",
        text=f"{host} refuses the access '{fields.name}' for good. Nothing that uses it works "
        "until it is granted again: sign in there once more and have the new refresh token stored "
        "(`connection set oauth`).",
    )


def notify_of_end(
    connection: sa.Connection,
    grant: Connection,
    fields: OAuthFields,
    ends_at: dt.datetime,
    now: dt.datetime,
) -> None:
    """Notifies the owner once that the refresh token of a grant ends and is not prolonged."""
    host = urlsplit(fields.token_url).hostname
    _notify(
        connection,
        grant,
        fields,
        now,
        kind="grant_ends",
        period=grant.changed_at.astimezone(dt.UTC).isoformat(),
        title=f"Access {fields.name} ends on {ends_at:%Y-%m-%d}",
        text=f"{host} ends the access '{fields.name}' on {ends_at:%Y-%m-%d %H:%M} UTC. Sign in "
        "there once more before that and have the new refresh token stored (`connection set "
        "oauth`).",
    )


def _notify(
    connection: sa.Connection,
    grant: Connection,
    fields: OAuthFields,
    now: dt.datetime,
    *,
    kind: str,
    period: str,
    title: str,
    text: str,
) -> None:
    owner = sa.select(users.c.id).where(
        users.c.organization_id == grant.organization_id, users.c.external_id == fields.owner
    )
    values = {
        "user_id": owner.scalar_subquery(),
        "contact_id": sa.cast(None, sa.BigInteger),
        "kind": sa.literal(kind),
        "title": sa.literal(title),
        "text": sa.literal(text),
        "ref": sa.literal(f"connection:{grant.id}"),
        "subject": sa.literal(f"connection {grant.id}"),
        "period": sa.literal(period),
    }
    wanted = sa.select(*(values[column.name].label(column.name) for column in WANTED))
    write_notifications(
        connection, wanted, organization_id=grant.organization_id, job=JOB, tick=now
    )
