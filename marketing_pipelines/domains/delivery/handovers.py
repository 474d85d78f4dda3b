"""Marks of messages whose handing-over began: what remains of a worker that is killed.

A transport that cannot repeat a message gets each one after its mark is committed. The mark also
carries the end of the message before, so that a batch is settled in few statements and a killed
worker leaves one message of unknown outcome. A mark and the return of a message whose lease ran out
lock the message's row: the first of them decides.
"""

import contextlib
import datetime as dt
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery import settling
from marketing_pipelines.domains.delivery.settling import End
from marketing_pipelines.stores import intents
from marketing_pipelines.stores.overlapped import Overlapped
from marketing_pipelines.stores.postgres import Begin

WORKER_DIED = "Its worker died while it acted; whether it happened is not known."


class Marks:
    """The marks of one batch, each committed by itself.

    A mark is made while the caller prepares the message: `begin`, then `judged`.
    """

    def __init__(self, open_marking: Begin, lease: dt.timedelta) -> None:
        self._open_marking = open_marking
        self._lease = lease
        self._opened = contextlib.ExitStack()
        self._statement: Overlapped | None = None
        self._latest: int | None = None

    def begin(self, message: Any, ends: Mapping[int, End], now: dt.datetime) -> None:
        """Sends the mark of a message whose handing-over begins.

        Args:
            ends: Ends that are not settled yet; the one of the message marked before is noted.
        """
        if self._statement is None:
            connection = self._opened.enter_context(self._open_marking())
            self._statement = Overlapped(connection, "delivery_begin", _BEGIN)
            self._opened.callback(self._statement.close)
        before = None if self._latest is None else ends.get(self._latest)
        self._latest = message.id
        self._statement.send(
            [
                message.id,
                message.claim,
                now.isoformat(),
                (now + self._lease).isoformat(),
                None if before is None else before.id,
                None if before is None else json.dumps(settling.as_row(before)),
            ]
        )

    def judged(self, message: Any) -> str | None:
        """Waits until the mark is made, which judges the recipient once more.

        Returns:
            The reason not to send the message; None: there is none.

        Raises:
            ClaimLostError: the lease ran out.
        """
        assert self._statement is not None
        rows = self._statement.receive()
        if not rows:
            raise intents.ClaimLostError(
                f"Claim {message.claim} of message {message.id} is no longer ours: its lease ran "
                "out."
            )
        return rows[0][0]

    def close(self) -> None:
        """Gives the connection back; the next mark opens another."""
        self._statement = None
        self._opened.close()


def recover(connection: sa.Connection, channel: str, now: dt.datetime) -> None:
    """Ends the claims of a channel whose lease ran out.

    Messages whose end is marked are settled, those that were being handed over are `unknown`, and
    the others are due again.
    """
    values = {"channel": channel, "now": now}
    ids = list(connection.execute(_LOCK_EXPIRED, values).scalars())
    if not ids:
        return
    begun, ends, untouched = {}, {}, []
    # A statement of its own, which sees the marks that were made before the locks.
    for message in connection.execute(_MARKED, {"ids": ids, "now": now}):
        begun[message.id] = message
        if message.ended is not None:
            ends[message.id] = settling.from_row(message.ended)
        elif message.is_begun:
            ends[message.id] = settling.ended(message, intents.UNKNOWN, WORKER_DIED)
        else:
            untouched.append(message.id)
    for day in {end.sent_at.date() for end in ends.values() if end.sent_at is not None}:
        settling.prepare(connection, day)
    _settle(connection, begun, ends)
    if untouched:
        connection.execute(_RETURN, {"ids": untouched})


def _settle(connection: sa.Connection, begun: Mapping[int, Any], ends: Mapping[int, End]) -> None:
    """Settles ends of messages; one that cannot be written is `unknown` and stops no other."""
    try:
        with connection.begin_nested():
            settling.settle(connection, list(ends.values()))
    except (sa.exc.DataError, sa.exc.IntegrityError):
        for number, end in ends.items():
            try:
                with connection.begin_nested():
                    settling.settle(connection, [end])
            except (sa.exc.DataError, sa.exc.IntegrityError) as error:
                reason = f"Its end cannot be written: {type(error.orig).__name__}."
                unknown = settling.ended(begun[number], intents.UNKNOWN, reason)
                settling.settle(connection, [unknown])


_BEGIN = resources.files(__package__).joinpath("sql", "begin.sql").read_text()
_LOCK_EXPIRED = sa.text("""
    select id
    from delivery.messages
    where channel = :channel and state = 'claimed' and leased_until <= :now
    order by id
    for update
""")
_MARKED = sa.text("""
    select message.*, mark.ended,
           mark.message_id is not null as is_begun
    from delivery.messages as message
    left join delivery.handovers as mark
        on mark.message_id = message.id and mark.claim = message.claim
    where message.id = any(:ids) and coalesce(mark.leased_until <= :now, true)
""")
_RETURN = sa.text(resources.files(__package__).joinpath("sql", "return_expired.sql").read_text())
