"""Sending what is due, a batch at a time: claim, look, fill in, send, settle.

A message that does not go out ends with its reason and stops no other. Where the transport is
repeatable a killed worker's messages go to the next one when the lease ends; where it is not, each
is noted as `sending` before it is sent, and one whose worker died then is `unknown`.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.due import PAUSED, may_go
from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered, fill_in
from marketing_pipelines.domains.delivery.tables import messages
from marketing_pipelines.domains.delivery.transports import Transport
from marketing_pipelines.stores import intents
from marketing_pipelines.stores.postgres import Begin

LEASE = dt.timedelta(minutes=2)
BATCH = 500
Clock = Callable[[], dt.datetime]


@dataclass(frozen=True)
class SendingReport:
    """Counts of one batch of messages.

    Attributes:
        claimed: Messages in it; none: nothing is due.
        returned: Those queued again, since their program was paused after the claim or the worker
            stops.
        lost: Those whose lease ran out meanwhile: another sends them.
    """

    claimed: int = 0
    sent: int = 0
    suppressed: int = 0
    failed: int = 0
    unknown: int = 0
    returned: int = 0
    lost: int = 0


def send_batch(
    begin: Begin,
    channel: str,
    transport: Transport,
    *,
    clock: Clock,
    limit: int = BATCH,
    should_return: Callable[[], bool] = lambda: False,
) -> SendingReport:
    """Sends messages of a channel that are due.

    Args:
        begin: Opens a transaction; the messages go out between two.
        clock: Tells the time of sending; it goes on while a batch is sent.
        limit: Most messages to take.
        should_return: Asked before each message; once true, the rest is queued again and its
            attempt does not count.

    Raises:
        Exception: what the transport raised for a reason of its own. What went out before is
            settled, the rest is due again and its attempt does not count.
    """
    now = clock()
    with begin() as connection:
        claimed = intents.claim(
            connection, messages, limit=limit, lease=LEASE, now=now, where=may_go(channel)
        )
        if len(claimed) < limit:
            intents.give_up(connection, messages, now=now, where=messages.c.channel == channel)
        orders = _orders(connection, [message.id for message in claimed])
    if not claimed:
        return SendingReport()
    batch = _Batch(begin, transport, clock)
    trouble: Exception | None = None
    for message in claimed:
        if trouble is None and not should_return():
            try:
                batch.send(message, orders[message.id])
                continue
            except Exception as error:
                trouble = error
        if message.id not in batch.ends:
            batch.end(message, intents.QUEUED)
    report = batch.report()
    if trouble is not None:
        raise trouble
    return report


def _orders(connection: sa.Connection, ids: list[int]) -> Mapping[int, Any]:
    statement = sa.text(resources.files(__package__).joinpath("sql", "to_send.sql").read_text())
    return {order.id: order for order in connection.execute(statement, {"ids": ids})}


class _Batch:
    """The messages of one claim and how they end.

    Attributes:
        ends: What is to be settled, by message.
    """

    def __init__(self, begin: Begin, transport: Transport, clock: Clock) -> None:
        self.ends: dict[int, dict[str, Any]] = {}
        self._begin = begin
        self._transport = transport
        self._clock = clock
        self._counts: Counter[str] = Counter()

    def send(self, message: Any, order: Any) -> None:
        """Sends one, or says why not."""
        if order.program_status in PAUSED:
            self.end(message, intents.QUEUED)
            return
        reason = _why_not(message, order)
        if reason is not None:
            self.end(message, "suppressed", reason)
            return
        try:
            rendered = _rendered(message, order)
            if self._transport.repeatable:
                self._transport.send(rendered)
            else:
                self._send_for_good(message, rendered)
        except MessageError as error:
            self.end(message, "failed", str(error))
        except intents.ClaimLostError:
            self._counts["lost"] += 1
        else:
            self.end(message, "sent")

    def _send_for_good(self, message: Any, rendered: Rendered) -> None:
        """Sends a message that cannot be sent twice. Before, it notes the beginning and settles the
        messages done so far: if the worker dies now, this message alone is `unknown`."""
        with self._begin() as connection:
            intents.begin(connection, messages, message, lease=LEASE, now=self._clock())
            settled = self._settle(connection)
        self._count(settled)
        try:
            self._transport.send(rendered)
        except MessageError:
            raise
        except Exception as error:
            reason = f"Whether it was taken is not known: {type(error).__name__}."
            self.end(message, intents.UNKNOWN, reason)
            raise

    def end(self, message: Any, state: str, reason: str | None = None) -> None:
        """Notes how one ended; `queued` is as if nobody had claimed it."""
        is_back = state == intents.QUEUED
        self.ends[message.id] = {
            "id": message.id,
            "claim": message.claim,
            "state": state,
            "reason": message.reason if is_back else reason,
            "attempts": message.attempts - is_back,
            "sent_at": self._clock() if state == "sent" else None,
        }

    def report(self) -> SendingReport:
        """Settles what is not settled yet; says what became of all."""
        with self._begin() as connection:
            settled = self._settle(connection)
        self._count(settled)
        return SendingReport(
            claimed=self._counts.total(),
            sent=self._counts["sent"],
            suppressed=self._counts["suppressed"],
            failed=self._counts["failed"],
            unknown=self._counts[intents.UNKNOWN],
            returned=self._counts[intents.QUEUED],
            lost=self._counts["lost"],
        )

    def _settle(self, connection: sa.Connection) -> set[int]:
        return intents.settle_all(connection, messages, list(self.ends.values()))

    def _count(self, settled: set[int]) -> None:
        for number, end in self.ends.items():
            self._counts[end["state"] if number in settled else "lost"] += 1
        self.ends.clear()


def _rendered(message: Any, order: Any) -> Rendered:
    if not isinstance(order.content, dict):
        raise MessageError(f"Row {message.content_id} of delivery.contents holds no content.")
    return Rendered(
        id=message.id,
        organization_id=message.organization_id,
        organization=order.organization,
        channel=message.channel,
        queued_at=message.queued_at.astimezone(dt.UTC),
        recipient=order.recipient.strip(),
        name=order.name,
        content=fill_in(message.channel, order.content, order.fields or {}),
    )


def _why_not(message: Any, order: Any) -> str | None:
    if order.program_kind is not None and order.program_status in (None, "cancelled"):
        end = "deleted" if order.program_status is None else "cancelled"
        return f"its {order.program_kind} was {end}"
    if order.suppressed is not None:
        return str(order.suppressed)
    if not (order.recipient or "").strip():
        return "no_address"
    return None
