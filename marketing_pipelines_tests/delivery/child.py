"""A worker that kills itself: `python -m …delivery.child POINT NUMBER NOW TRANSPORT`.

It sends mails as of NOW, one batch or with `smtp` all that are due. It dies, by SIGKILL, the
NUMBERth time it comes to POINT: `begin` (before a transaction), `commit` (with everything written,
before the commit), `send`, `rename` (a file is written, not yet moved) or `sent`. TRANSPORT
is `outbox`; `log`, a file that gets a line for each message and cannot be asked what it holds; or
`smtp`, the server of the settings.
"""

import contextlib
import datetime as dt
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.rendering import Rendered
from marketing_pipelines.domains.delivery.sending import send_batch
from marketing_pipelines.domains.delivery.transports.choice import transport_of
from marketing_pipelines.domains.delivery.transports.outbox import Outbox
from marketing_pipelines.domains.delivery.transports.outcomes import Transport
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import committing_each, create_engine, database_url
from marketing_pipelines_tests.forking import Forked


def started(now: dt.datetime) -> Forked:
    """A worker that sends over SMTP and lives until somebody ends it."""
    return Forked(__name__, "never", "0", now.isoformat(), "smtp")


def run(point: str, number: int, now: dt.datetime, transport: str = "outbox") -> int:
    """Runs the worker; returns how it ended."""
    with Forked(__name__, point, str(number), now.isoformat(), transport) as process:
        return process.wait(120)


def log() -> Path:
    """The lines that the transport `log` writes."""
    return get_settings().data_dir / "sent.log"


class Log:
    """Takes messages for good: asked to take one twice, it does."""

    repeatable = False
    line = None

    def send(self, message: Rendered) -> None:
        """One line."""
        with log().open("a") as file:
            file.write(f"{message.id}\n")


class Dying:
    """Counts how often it came to each point, and dies at one."""

    def __init__(self, engine: sa.Engine, transport: Transport, point: str, number: int) -> None:
        self._engine = engine
        self._transport = transport
        self._last = (point, number)
        self._times: Counter[str] = Counter()
        self.repeatable = transport.repeatable
        self.line = transport.line
        sys.addaudithook(lambda event, _: self._at("rename") if event == "os.rename" else None)

    def _at(self, point: str) -> None:
        self._times[point] += 1
        if (point, self._times[point]) == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction."""
        self._at("begin")
        with self._engine.begin() as connection:
            yield connection
            self._at("commit")

    def send(self, message: Rendered) -> str | None:
        """Sends, unless it dies before."""
        self._at("send")
        number = self._transport.send(message)
        self._at("sent")
        return number


def transport_named(name: str) -> Transport:
    """The transport of this name."""
    if name == "smtp":
        transport = transport_of(get_settings(), "email")
        assert transport is not None
        return transport
    return Outbox(get_settings().outbox_folder) if name == "outbox" else Log()


if __name__ == "__main__":
    point, number, now, name = sys.argv[1:]
    engine = create_engine(database_url(get_settings()), pool_size=2)
    dying = Dying(engine, transport_named(name), point, int(number))
    instant = dt.datetime.fromisoformat(now)
    claimed = 1
    while claimed:
        report = send_batch(
            dying.begin,
            "email",
            dying,
            open_marking=lambda: committing_each(engine),
            clock=lambda: instant,
        )
        claimed = report.claimed if name == "smtp" else 0
