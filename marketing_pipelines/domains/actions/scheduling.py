"""Accepting actions: checked, once for each of their keys."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import sqlalchemy as sa

from marketing_pipelines.domains.actions import repetition
from marketing_pipelines.domains.actions.statements import read_sql
from marketing_pipelines.domains.actions.tables import scheduled_actions
from marketing_pipelines.domains.actions.targets import TARGETS
from marketing_pipelines.domains.actions.types import type_problem
from marketing_pipelines.domains.segments.segment_graph import zone_of
from marketing_pipelines.failures import BadInputError

DAY = dt.timedelta(days=1)
DEFAULT_WINDOW = dt.timedelta(hours=1)
MAX_WINDOW = dt.timedelta(days=366)
MAX_AHEAD = dt.timedelta(days=3_660)
MAX_KEY_LENGTH = 200
MAX_PAYLOAD_BYTES = 100_000


class ActionKeyTakenError(BadInputError):
    """A repeated action of this key is another one."""


@dataclass(frozen=True)
class ActionOrder:
    """An action as a caller asks for it.

    Attributes:
        run_at: When it is due; None: it comes again and again.
        every: hourly, daily, weekly or a cron; None: it comes once.
        zone: IANA zone of `every`; None: the organization's.
        dedupe_key: Key of its doubles; None: the payload's hash, if there is a window.
        dedupe_window: Doubles are due less than this before or after; None: an hour, if there is a
            key.
        until: It comes before this instant alone; None: without end.
    """

    organization_id: int
    type: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    run_at: dt.datetime | None = None
    every: str | None = None
    zone: str | None = None
    dedupe_key: str | None = None
    dedupe_window: dt.timedelta | None = None
    until: dt.datetime | None = None
    catch_up: Literal["once", "skip"] = "once"


@dataclass(frozen=True)
class Accepted:
    """An action after the call.

    Attributes:
        id: Number of the action.
        next_at: When it is due next; None: never again.
    """

    id: int
    next_at: dt.datetime | None


def schedule(
    connection: sa.Connection, order: ActionOrder, *, now: dt.datetime, reporting_zone: ZoneInfo
) -> tuple[Accepted, bool]:
    """Stores an action, unless there is one with its key.

    Returns:
        The action, and whether it is new.

    Raises:
        BadInputError: it cannot be done; the sentence begins with the field.
        ActionKeyTakenError: a repeated action of the key is another one.
    """
    cron, zone, next_at = _times(connection, order, now, reporting_zone)
    text = _canonical(order.payload)
    _check(connection, order, text)
    window = order.dedupe_window
    if window is None and order.dedupe_key is not None:
        window = DEFAULT_WINDOW
    key = None
    if window is not None:
        key = (
            f"key:{order.dedupe_key}" if order.dedupe_key is not None else f"payload:{_hash(text)}"
        )
    body_hash = _hash(_canonical(_body(order, zone)))
    if key is not None and window is not None:
        earlier = _earlier(connection, order, key, window, next_at, body_hash)
        if earlier is not None:
            return earlier, False
    number = connection.execute(
        sa.insert(scheduled_actions)
        .values(
            organization_id=order.organization_id,
            type=order.type,
            payload=dict(order.payload),
            every=order.every,
            cron=cron,
            zone=zone,
            run_at=order.run_at,
            until=order.until,
            catch_up=order.catch_up,
            dedupe_key=key,
            body_hash=body_hash,
            next_at=next_at,
            created_at=now,
        )
        .returning(scheduled_actions.c.id)
    ).scalar_one()
    return Accepted(number, next_at), True


def _times(
    connection: sa.Connection, order: ActionOrder, now: dt.datetime, reporting_zone: ZoneInfo
) -> tuple[str | None, str | None, dt.datetime]:
    """The cron and its zone, where it has one, and the first due time."""
    if (order.run_at is None) == (order.every is None):
        raise BadInputError("run_at: an action has either run_at or every.")
    if order.every is None:
        assert order.run_at is not None
        for name, value in (("zone", order.zone), ("until", order.until)):
            if value is not None:
                raise BadInputError(f"{name}: goes with every alone: leave it out.")
        if order.run_at < now - DAY:
            earliest = (now - DAY + dt.timedelta(seconds=1)).astimezone(dt.UTC)
            raise BadInputError(
                "run_at: lies more than 24 hours in the past: give an instant from "
                f"{earliest:%Y-%m-%dT%H:%M:%SZ} on."
            )
        if order.run_at > now + MAX_AHEAD:
            raise BadInputError("run_at: lies more than ten years ahead.")
        return None, None, order.run_at
    cron = repetition.cron_of(order.every)
    if order.zone is not None and order.zone not in available_timezones():
        raise BadInputError(f"zone: '{order.zone[:60]}' is no IANA time zone.")
    zone = order.zone or zone_of(connection, order.organization_id, reporting_zone).key
    next_at = repetition.first_due(cron, zone, now)
    if order.until is not None and next_at >= order.until:
        raise BadInputError("until: the first due time is not before it.")
    return cron, zone, next_at


def _check(connection: sa.Connection, order: ActionOrder, text: str) -> None:
    problem = type_problem(order.type)
    if problem is not None:
        raise BadInputError(f"type: {problem}.")
    if len(text.encode()) > MAX_PAYLOAD_BYTES:
        raise BadInputError(f"payload: is longer than {MAX_PAYLOAD_BYTES:,} bytes of JSON.")
    if order.dedupe_key is not None and not 0 < len(order.dedupe_key) <= MAX_KEY_LENGTH:
        raise BadInputError(f"dedupe_key: has 1 to {MAX_KEY_LENGTH} characters.")
    window = order.dedupe_window
    if window is not None and not dt.timedelta() < window <= MAX_WINDOW:
        raise BadInputError("dedupe_window: is more than 0 and at most 366 days.")
    values = {"organization_id": order.organization_id, "type": order.type}
    for route in connection.execute(read_sql("routes_of_type"), values):
        fault = TARGETS[route.target].problem_of_payload(route.name, order.payload)
        if fault is not None:
            raise BadInputError(f"{fault} (route {route.external_id}).")


def _earlier(
    connection: sa.Connection,
    order: ActionOrder,
    key: str,
    window: dt.timedelta,
    due_at: dt.datetime,
    body_hash: str,
) -> Accepted | None:
    """The action that this one doubles; callers with one key come one after the other."""
    lock = json.dumps([order.organization_id, order.type, key])
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(lock, 0))))
    action = scheduled_actions.c
    own = (
        action.organization_id == order.organization_id,
        action.type == order.type,
        action.dedupe_key == key,
        action.state != "cancelled",
    )
    columns = sa.select(action.id, action.next_at, action.body_hash)
    repeated = connection.execute(
        columns.where(*own, action.cron.is_not(None), action.ended_at.is_(None)).limit(1)
    ).first()
    if repeated is not None:
        if repeated.body_hash != body_hash:
            raise ActionKeyTakenError(
                f"dedupe_key: the repeated action {repeated.id} has this key and another body: "
                "cancel it, or use another key."
            )
        return Accepted(repeated.id, repeated.next_at)
    if order.run_at is None:
        return None
    close = connection.execute(
        columns.where(
            *own, action.run_at > due_at - window, action.run_at < due_at + window
        ).order_by(action.id)
    ).first()
    return None if close is None else Accepted(close.id, close.next_at)


def _body(order: ActionOrder, zone: str | None) -> Mapping[str, Any]:
    return {
        "payload": dict(order.payload),
        "run_at": None if order.run_at is None else order.run_at.astimezone(dt.UTC).isoformat(),
        "every": order.every,
        "zone": zone,
        "until": None if order.until is None else order.until.astimezone(dt.UTC).isoformat(),
        "catch_up": order.catch_up,
    }


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
