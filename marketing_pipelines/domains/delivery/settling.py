"""Ends of messages, and the one statement that writes them.

The statement writes the activity events `message:{id}:sent` and `message:{id}:bounced` together
with the state, so that neither exists without the other. Only the holder of the latest claim
settles, and each message once.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from marketing_pipelines.domains.delivery.transports.outcomes import Bounce
from marketing_pipelines.stores import intents

# One attempt more than there are waits.
_WAITS = (dt.timedelta(seconds=2), dt.timedelta(seconds=4))
_BULK_WAITS = (dt.timedelta(seconds=5),)
# Waits after the first refusals of a recipient for now; later ones are the last of these.
_REFUSED_WAITS = tuple(dt.timedelta(minutes=minutes) for minutes in (5, 15, 30, 60))
NOT_READY_WAIT = dt.timedelta(minutes=10)
REFUSED_FOR = dt.timedelta(hours=24)


@dataclass(frozen=True)
class End:
    """The end of a claimed message: the columns to write.

    Attributes:
        bounce: Kind of the bounce; None: it did not bounce.
        suppression: Reason for which its contact gets no more of the channel; None: there is none.
        will_be_tried: True if it was tried and waits for another try.
    """

    id: int
    claim: int
    state: str
    reason: str | None
    attempts: int
    due_at: dt.datetime
    sent_at: dt.datetime | None
    provider_message_id: str | None
    refused_at: dt.datetime | None
    refusals: int
    bounce: Bounce | None
    suppression: str | None = None
    will_be_tried: bool = False

    @property
    def counted_as(self) -> str:
        """Its state, or `deferred` where it waits for another try."""
        return "deferred" if self.will_be_tried else self.state


def ended(
    message: Any,
    state: str,
    reason: str | None = None,
    *,
    bounce: Bounce | None = None,
    suppression: str | None = None,
    sent_at: dt.datetime | None = None,
    provider_message_id: str | None = None,
) -> End:
    """A message that ended in a state."""
    return End(
        id=message.id,
        claim=message.claim,
        state=state,
        reason=reason,
        attempts=message.attempts,
        due_at=message.due_at,
        sent_at=sent_at,
        provider_message_id=provider_message_id,
        refused_at=message.refused_at,
        refusals=message.refusals,
        bounce=bounce,
        suppression=suppression,
    )


def untouched(message: Any) -> End:
    """A message that goes back as if it had not been claimed."""
    return _queued(message, message.due_at, message.reason, attempts=message.attempts - 1)


def postponed(message: Any, reason: str, now: dt.datetime) -> End:
    """Returns a message that waits for a setting; no attempt is used."""
    return _queued(message, now + NOT_READY_WAIT, reason, attempts=message.attempts - 1)


def deferred(message: Any, reason: str, now: dt.datetime) -> End:
    """Returns a message whose recipient the server refuses for now.

    It is tried again until a day has passed since the first refusal, and bounces then. No attempt
    is used.
    """
    since = message.refused_at or now
    if now >= since + REFUSED_FOR:
        return ended(message, "bounced", reason, bounce="soft", sent_at=now)
    wait = _REFUSED_WAITS[min(message.refusals, len(_REFUSED_WAITS) - 1)]
    return _queued(
        message,
        min(now + wait, since + REFUSED_FOR),
        reason,
        attempts=message.attempts - 1,
        refused_at=since,
        refusals=message.refusals + 1,
        will_be_tried=True,
    )


def attempted(message: Any, reason: str, now: dt.datetime) -> End:
    """Returns a message whose attempt failed: queued again, or failed after its last attempt."""
    waits = _BULK_WAITS if message.is_bulk else _WAITS
    if message.attempts > len(waits):
        return ended(message, "failed", reason)
    return _queued(
        message,
        now + waits[message.attempts - 1],
        reason,
        attempts=message.attempts,
        will_be_tried=True,
    )


def queued_again(message: Any, now: dt.datetime) -> End:
    """A message that is due again, as a person decided; its attempts stay."""
    return _queued(message, now, None, attempts=message.attempts)


def prepare(connection: sa.Connection, day: dt.date) -> None:
    """Makes the month of the activity events that a batch will write on a UTC day."""
    connection.execute(sa.select(sa.func.analytics.ensure_activity_month(day)))


def as_row(end: End) -> dict[str, Any]:
    """An end as JSON has it; texts of servers lose what PostgreSQL cannot store."""
    return {
        name: value.isoformat()
        if isinstance(value, dt.datetime)
        else value.replace("\0", "\ufffd").encode(errors="replace").decode()
        if isinstance(value, str)
        else value
        for name, value in vars(end).items()
    }


def from_row(row: Any) -> End:
    """The end that `as_row` wrote."""
    return _ends().validate_python(row)


@cache
def _ends() -> TypeAdapter[End]:
    return TypeAdapter(End)


def settle(
    connection: sa.Connection,
    ends: Sequence[End],
    states: Sequence[str] = (intents.CLAIMED,),
    *,
    gone: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> set[int]:
    """Writes ends and events; suppresses bounced addresses, and contacts on a list of the service.

    Args:
        states: The states from which messages are settled.
        gone: By message, the devices of its contact that no longer exist.

    Returns:
        The ids of the messages that were still ours.
    """
    if not ends:
        return set()
    rows = json.dumps([as_row(end) for end in ends])
    settled = set(connection.execute(_SETTLE, {"ends": rows, "states": list(states)}).scalars())
    bounced = [end for end in ends if end.bounce is not None and end.id in settled]
    if bounced:
        at = max(end.sent_at for end in bounced if end.sent_at is not None)
        suppress = sa.func.delivery.suppress_bounced([end.id for end in bounced], at)
        connection.execute(sa.select(suppress))
    listed = [end for end in ends if end.suppression is not None and end.id in settled]
    if listed:
        given = {"ids": [end.id for end in listed], "reasons": [end.suppression for end in listed]}
        connection.execute(_SUPPRESS_LISTED, given)
    devices = [(number, one) for number in settled for one in gone.get(number, ())]
    if devices:
        numbers, tokens = zip(*devices, strict=True)
        connection.execute(_REMOVE_DEVICES, {"ids": list(numbers), "tokens": list(tokens)})
    return settled


_SUPPRESS_LISTED = sa.text(
    resources.files(__package__).joinpath("sql", "suppress_listed.sql").read_text()
)
_REMOVE_DEVICES = sa.text(
    resources.files(__package__).joinpath("sql", "remove_devices.sql").read_text()
)
_SETTLE = sa.text(
    resources.files(__package__).joinpath("sql", "settle.sql").read_text()
).bindparams(sa.bindparam("ends", type_=sa.Text))


def _queued(
    message: Any,
    due_at: dt.datetime,
    reason: str | None,
    *,
    attempts: int,
    refused_at: dt.datetime | None = None,
    refusals: int | None = None,
    will_be_tried: bool = False,
) -> End:
    return End(
        id=message.id,
        claim=message.claim,
        state=intents.QUEUED,
        reason=reason,
        attempts=attempts,
        due_at=due_at,
        sent_at=None,
        provider_message_id=None,
        refused_at=refused_at or message.refused_at,
        refusals=message.refusals if refusals is None else refusals,
        bounce=None,
        will_be_tried=will_be_tried,
    )
