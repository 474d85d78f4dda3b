"""Sending what is due, a batch at a time: claim, look, fill in, send, settle.

A message that does not go out ends with its reason and stops no other. With a repeatable transport,
a killed worker's messages go to the next worker when the lease ends. With any other, each message
is marked before it is sent (`handovers`), and becomes `unknown` if its worker dies then.
"""

import contextlib
import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery import bounce_guard, handovers, lines, settling, warmup
from marketing_pipelines.domains.delivery.claiming import Claimed, claim
from marketing_pipelines.domains.delivery.composing import rendered
from marketing_pipelines.domains.delivery.lanes import PAUSED
from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered
from marketing_pipelines.domains.delivery.settling import End
from marketing_pipelines.domains.delivery.transports.choice import may_reach
from marketing_pipelines.domains.delivery.transports.outcomes import (
    AttemptError,
    BouncedError,
    DeferredError,
    LineError,
    ListedError,
    NotReadyError,
    Preparing,
    Transport,
    UnknownOutcomeError,
)
from marketing_pipelines.domains.delivery.warmup_mirror import mirror_at
from marketing_pipelines.queueing.tasks import Clock
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines.stores import intents
from marketing_pipelines.stores.postgres import Begin

LEASE = dt.timedelta(minutes=2)
BATCH = 500
# A batch is settled in parts, so that states and events are at most this late.
SETTLED_AT_ONCE = 100
SECONDS_UNSETTLED = 1.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SendingReport:
    """Counts of one batch of messages.

    Attributes:
        claimed: Messages in it, also those that the gate kept back; none: nothing is due.
        postponed: Messages that wait for the end of a cap or of quiet hours.
        deferred: Messages to retry later, since their recipient was refused for now or their
            attempt failed.
        returned: Messages queued again, since their program was paused after the claim, the worker
            stops, or the line does not work.
        lost: Messages whose lease ran out: another worker sends them.
        fault: Sentence about the line; None: it works.
        again_at: When the line takes messages again; None: now.
    """

    claimed: int = 0
    sent: int = 0
    suppressed: int = 0
    bounced: int = 0
    failed: int = 0
    unknown: int = 0
    deferred: int = 0
    postponed: int = 0
    returned: int = 0
    lost: int = 0
    fault: str | None = None
    again_at: dt.datetime | None = None

    @property
    def handed_over(self) -> int:
        """The number of messages that the transport was asked to take."""
        return self.sent + self.bounced + self.failed + self.unknown + self.deferred


def send_batch(
    begin: Begin,
    channel: str,
    transport: Transport,
    *,
    open_marking: Begin,
    clock: Clock,
    limit: int = BATCH,
    server_id: int | None = None,
    should_return: Callable[[], bool] = lambda: False,
) -> SendingReport:
    """Sends messages of a channel that are due.

    Args:
        begin: Opens a transaction; the messages go out between two.
        open_marking: Opens a connection whose statements commit by themselves, for the marks of a
            transport that cannot repeat.
        clock: Returns the time of sending, which passes while a batch is sent.
        limit: Most messages to take.
        server_id: Connection to the mail server of one domain; None: messages of all others.
        should_return: Called before each message; once true, the rest is queued again and its
            attempt does not count.

    Raises:
        Exception: an unexpected error of the transport. Sent messages are settled, the rest is due
            again and its attempt does not count.
    """
    now, settings = clock(), get_settings()
    with begin() as connection:
        # A transaction of its own: what it locks of warm-up would block claims that it waits for.
        handovers.recover(connection, channel, now)
    with begin() as connection:
        admission = lines.admit(connection, transport.line, limit, now)
        if not admission.limit:
            return SendingReport(again_at=admission.again_at)
        claimed = claim(
            connection,
            channel,
            limit=admission.limit,
            lease=LEASE,
            now=now,
            zone=settings.zone,
            server_id=server_id,
        )
        ids = [message.id for message in claimed.messages]
        held, counters = warmup.reserve(connection, ids, now)
        orders = _orders(connection, ids)
        if ids:
            settling.prepare(connection, now.astimezone(dt.UTC).date())
    if counters and settings.redis_url is not None:
        mirror_at(settings.redis_url).write(counters)
    batch = _Batch(begin, open_marking, channel, transport, admission, clock, claimed)
    trouble: Exception | None = None
    for message in claimed.messages:
        if message.id in held:
            continue
        if trouble is None and not should_return():
            try:
                batch.send(message, orders[message.id])
                continue
            except Exception as error:
                trouble = error
        if message.id not in batch.ends:
            batch.end(settling.untouched(message))
    report = batch.report(trouble, held=len(held))
    if trouble is not None and not isinstance(trouble, LineError):
        raise trouble
    return report


def _orders(connection: sa.Connection, ids: list[int]) -> Mapping[int, Any]:
    statement = sa.text(resources.files(__package__).joinpath("sql", "to_send.sql").read_text())
    return {order.id: order for order in connection.execute(statement, {"ids": ids})}


@dataclass
class _Begun:
    """The mark of a message.

    Attributes:
        problem: The reason not to send it, which came up since the claim; None: there is none.
    """

    problem: str | None = None


class _Batch:
    """The messages of one claim and their ends.

    Attributes:
        ends: Ends to settle, by message.
    """

    def __init__(
        self,
        begin: Begin,
        open_marking: Begin,
        channel: str,
        transport: Transport,
        admission: lines.LineAdmission,
        clock: Clock,
        claimed: Claimed,
    ) -> None:
        self.ends: dict[int, End] = {}
        self._gone: dict[int, list[str]] = {}
        self._begin = begin
        self._marks = handovers.Marks(open_marking, LEASE)
        self._settled_at = time.monotonic()
        self._channel = channel
        self._transport = transport
        self._admission = admission
        self._clock = clock
        self._counts = Counter(suppressed=claimed.suppressed, postponed=claimed.postponed)
        self._tried = False
        # Domains whose next start is too far away; None: mails without domain, and other channels.
        self._full: set[int | None] = set()
        # Domains with bounces, or with a pause that is over.
        self._judged: set[int | None] = set()

    def send(self, message: Any, order: Any) -> None:
        """Sends one, or says why not.

        Raises:
            LineError: the line does not work; the message is not ended, unless it is unknown.
        """
        if order.program_status in PAUSED or order.domain_id in self._full:
            self.end(settling.untouched(message))
            return
        if order.paused_until is not None:
            self._judged.add(order.domain_id)
        try:
            with self._beginning(message) as begun, _preparing(message):
                reason = _why_not(message, order, get_settings())
                give = None if reason is not None else self._prepared(rendered(message, order))
            reason = reason or begun.problem
            if give is None or reason is not None:
                self.end(settling.ended(message, "suppressed", reason))
                return
            if not self._starts(order):
                self.end(settling.untouched(message))
                return
            number = self._hand_over(message, give)
        except MessageError as error:
            suppression = error.suppression if isinstance(error, ListedError) else None
            self.end(settling.ended(message, "failed", str(error), suppression=suppression))
        except NotReadyError as error:
            self.end(settling.postponed(message, str(error), self._clock()))
        except DeferredError as error:
            self.end(settling.deferred(message, str(error), self._clock()))
        except BouncedError as error:
            self._judged.add(order.domain_id)
            self.end(
                settling.ended(
                    message, "bounced", str(error), bounce=error.bounce, sent_at=self._clock()
                )
            )
        except AttemptError as error:
            self.end(settling.attempted(message, str(error), self._clock()))
        except intents.ClaimLostError:
            self._counts["lost"] += 1
        else:
            self.end(
                settling.ended(message, "sent", sent_at=self._clock(), provider_message_id=number)
            )

    @contextlib.contextmanager
    def _beginning(self, message: Any) -> Iterator["_Begun"]:
        """Marks that this message begins, while the caller prepares it.

        It alone is `unknown` if the worker dies. A repeatable transport needs no mark.
        """
        begun = _Begun()
        if self._transport.repeatable:
            yield begun
            return
        if self._is_time_to_settle():
            self._marks.close()
            with self._begin() as connection:
                settled = self._settle(connection)
            self._count(settled)
        self._marks.begin(message, self.ends, self._clock())
        try:
            yield begun
        finally:
            begun.problem = self._marks.judged(message)

    def _is_time_to_settle(self) -> bool:
        """Returns true if ends have waited long enough, or suppress what may follow."""
        return (
            len(self.ends) >= SETTLED_AT_ONCE
            or time.monotonic() - self._settled_at >= SECONDS_UNSETTLED
            or any(end.bounce or end.suppression for end in self.ends.values())
        )

    def _starts(self, order: Any) -> bool:
        """Waits for the message's start where its rate is limited; false if it is too far away."""
        name = self._transport.line
        if name is None or not (order.per_second or self._admission.has_ceiling):
            return True
        while True:
            with self._begin() as connection:
                start = lines.next_start(connection, name, order.domain_id, self._clock())
            if start is None:
                self._full.add(order.domain_id)
                return False
            time.sleep(max((start - self._clock()).total_seconds(), 0))
            if self._clock() <= start + lines.MARGIN:
                return True

    def _prepared(self, outgoing: Rendered) -> Callable[[], str | None]:
        """The call that hands a message over; whatever can be done before it, is."""
        self._gone[outgoing.id] = outgoing.gone
        if isinstance(self._transport, Preparing):
            return self._transport.prepare(outgoing)
        return partial(self._transport.send, outgoing)

    def _hand_over(self, message: Any, give: Callable[[], str | None]) -> str | None:
        self._tried = True
        try:
            return give()
        except UnknownOutcomeError as error:
            self.end(settling.ended(message, intents.UNKNOWN, str(error)))
            raise
        except (LineError, MessageError, DeferredError, BouncedError, AttemptError):
            raise
        except Exception as error:
            if not self._transport.repeatable:
                reason = f"It is unknown whether it was taken: {type(error).__name__}."
                self.end(settling.ended(message, intents.UNKNOWN, reason))
            raise

    def end(self, end: End) -> None:
        """Notes how one ended."""
        self.ends[end.id] = end

    def report(self, trouble: Exception | None, held: int) -> SendingReport:
        """Settles what is not settled yet; says what became of all, `held` ones included."""
        name, again_at = self._transport.line, None
        self._counts[intents.QUEUED] += held
        self._marks.close()
        with self._begin() as connection:
            settled = self._settle(connection)
            self._count(settled)
            if name is not None and isinstance(trouble, LineError):
                again_at = lines.note_fault(
                    connection,
                    name,
                    self._channel,
                    trouble,
                    self._clock(),
                    is_trial=self._admission.is_trial,
                )
            domains = {one for one in self._judged if one is not None}
            if domains:
                folder = get_settings().data_dir / "suppressions"
                bounce_guard.judge(connection, domains, self._clock(), folder)
            if (
                name is not None
                and not isinstance(trouble, LineError)
                and self._admission.has_faults
                and self._tried
            ):
                lines.note_success(connection, name)
        return SendingReport(
            claimed=self._counts.total(),
            sent=self._counts["sent"],
            suppressed=self._counts["suppressed"],
            bounced=self._counts["bounced"],
            failed=self._counts["failed"],
            unknown=self._counts[intents.UNKNOWN],
            deferred=self._counts["deferred"],
            postponed=self._counts["postponed"],
            returned=self._counts[intents.QUEUED],
            lost=self._counts["lost"],
            fault=str(trouble) if isinstance(trouble, LineError) else None,
            again_at=again_at,
        )

    def _settle(self, connection: sa.Connection) -> set[int]:
        return settling.settle(connection, list(self.ends.values()), gone=self._gone)

    def _count(self, settled: set[int]) -> None:
        for end in self.ends.values():
            self._counts[end.counted_as if end.id in settled else "lost"] += 1
        self.ends.clear()
        self._gone.clear()
        self._settled_at = time.monotonic()


@contextlib.contextmanager
def _preparing(message: Any) -> Iterator[None]:
    """Makes an unforeseen error of one message the failure of its attempt."""
    try:
        yield
    except (MessageError, NotReadyError):
        raise
    except Exception as error:
        _logger.exception("Message %d cannot be prepared.", message.id)
        raise AttemptError(f"It cannot be prepared ({type(error).__name__}: {error}).") from error


def _why_not(message: Any, order: Any, settings: Settings) -> str | None:
    if order.program_kind is not None and order.program_status in (None, "cancelled"):
        end = "deleted" if order.program_status is None else "cancelled"
        return f"its {order.program_kind} was {end}"
    if message.channel == "push" and order.recipient is None:
        return "hard_bounce"
    if not may_reach(settings, message.channel, order.recipient):
        return "staging"
    return None
