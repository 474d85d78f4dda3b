"""Events of providers, stored and carried out: each once, all of a call in one transaction.

An event may arrive before its message is settled, or before the worker has written the provider's
id: it waits, and later calls and a sensor look for its message again.
"""

import datetime as dt
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery import bounce_guard
from marketing_pipelines.domains.delivery.hooks.events import HookEvent
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.ledger import open_ledger

# A worker notes the provider's id within its lease of two minutes.
WAITS_FOR_ITS_MESSAGE = dt.timedelta(minutes=15)
MAX_WAITING = 10_000


def record(connection: sa.Connection, events: Sequence[HookEvent], *, now: dt.datetime) -> int:
    """Stores events and carries out the new ones; returns how many are new."""
    lock_events(connection)
    rows = json.dumps(
        _without_erased(connection, [_row(event) for event in events]),
        default=dt.datetime.isoformat,
    )
    recorded = connection.execute(_statement("record_events"), {"events": rows, "now": now})
    new = list(recorded.scalars())
    _carry_out(connection, new + _waiting(connection, now, new), new, now)
    return len(new)


def _without_erased(connection: sa.Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Refuses events of messages to erased persons, and those with only an erased address."""
    found = open_ledger(connection, get_settings())
    if found is None:
        return rows
    asked = json.dumps(
        [
            {"place": place, "recipient": row["recipient"], "reading": row["reading"]}
            for place, row in enumerate(rows)
        ]
    )
    refused = set(
        connection.execute(_statement("erased_events"), {"events": asked, **found.blocks}).scalars()
    )
    return [row for place, row in enumerate(rows) if place not in refused]


def apply_waiting(connection: sa.Connection, now: dt.datetime) -> int:
    """Carries out events whose messages are found or settled by now; returns how many."""
    if not _waiting(connection, now, []):
        return 0
    lock_events(connection)
    return _carry_out(connection, _waiting(connection, now, []), [], now)


def lock_events(connection: sa.Connection) -> None:
    """Makes writers of activity work one after the other, so that each sees the ids taken."""
    connection.execute(_statement("lock_events"))


def _carry_out(
    connection: sa.Connection, ids: Sequence[int], new: Sequence[int], now: dt.datetime
) -> int:
    """Carries out the events whose messages have settled; returns how many."""
    given: dict[str, Any] = {"ids": list(ids), "now": now}
    connection.execute(_statement("find_messages"), given)
    ready = list(connection.execute(_statement("begin_events"), given).scalars())
    given["ids"] = ready
    if ready:
        months = connection.execute(_statement("months_of_events"), given).scalars().all()
        for month in months:
            connection.execute(sa.select(sa.func.analytics.ensure_activity_month(month)))
        given["resolved"] = list(connection.execute(_statement("raise_messages"), given).scalars())
        connection.execute(_statement("write_activity"), given)
        connection.execute(_statement("suppress_contacts"), given)
        connection.execute(_statement("suppress_bounced"), given)
        domains = connection.execute(_statement("bounced_domains"), given).scalars().all()
        if domains:
            folder = get_settings().data_dir / "suppressions"
            bounce_guard.judge(connection, domains, now, folder)
        connection.execute(_statement("lift_suppressions"), given)
        connection.execute(_statement("rejoin_categories"), given)
    connection.execute(_statement("suppress_addresses"), {"ids": list(new)})
    return len(ready)


def _waiting(connection: sa.Connection, now: dt.datetime, besides: Sequence[int]) -> list[int]:
    given = {"since": now - WAITS_FOR_ITS_MESSAGE, "besides": list(besides), "limit": MAX_WAITING}
    return list(connection.execute(_statement("waiting_events"), given).scalars())


def _row(event: HookEvent) -> dict[str, Any]:
    verdict = event.verdict
    reading = {
        "channel": event.channel,
        "message_id": event.message_id,
        "header_message_id": event.header_message_id,
        "provider_message_id": event.provider_message_id,
        "message_key": event.message_key,
        "organization": event.organization,
        "bounce_type": verdict.bounce_type,
        "suppression": verdict.suppression,
        "has_category": verdict.has_category or None,
        "category": event.category,
        "url": event.url,
        "is_machine": event.is_machine or None,
        "is_of_list": event.is_of_list or None,
    }
    return {
        "provider": event.provider,
        "provider_event_id": event.event_id,
        "token": event.token,
        "type": verdict.type,
        "recipient": event.recipient,
        "reason": verdict.reason or event.reason,
        "occurred_at": event.occurred_at,
        "reading": {name: value for name, value in reading.items() if value is not None},
        "payload": event.payload,
    }


@cache
def _statement(name: str) -> sa.TextClause:
    file = resources.files("marketing_pipelines.domains.delivery") / "sql" / "hooks" / f"{name}.sql"
    return sa.text(file.read_text(encoding="utf-8"))
