"""The progress of an attempt: the rows that are written, and the end of one that is not wanted.

A thread looks at the request every second. It interrupts an attempt whose request was cancelled,
and one that has written nothing for five minutes.
"""

import datetime as dt
import threading
import time
from collections.abc import Callable

import sqlalchemy as sa

from marketing_pipelines.domains.exports.tables import requests
from marketing_pipelines.failures import MarketingPipelinesError, TimedOutError

MAX_SILENCE = dt.timedelta(minutes=5)
LOOK_SECONDS = 1.0


class NotWantedError(MarketingPipelinesError):
    """The request was cancelled, or a later attempt has taken it over."""


class AttemptProgress:
    """The rows that an attempt has written.

    Args:
        attempt: Number of the attempt of the request.
        report: Shows the share that is done, 0 to 1.
    """

    def __init__(
        self,
        engine: sa.Engine,
        request_id: int,
        attempt: int,
        *,
        expected: int,
        clock: Callable[[], dt.datetime],
        report: Callable[[float], None],
    ) -> None:
        self.rows = 0
        self._engine = engine
        self._own = sa.and_(
            requests.c.id == request_id,
            requests.c.attempt == attempt,
            requests.c.state == "running",
        )
        self._expected = expected
        self._clock = clock
        self._report = report
        self._latest = time.monotonic()
        self._interrupt: Callable[[], None] = lambda: None
        self._ended: MarketingPipelinesError | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="export", daemon=True)

    def __enter__(self) -> "AttemptProgress":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def interruptible(self, interrupt: Callable[[], None]) -> None:
        """Names the function that ends what the attempt waits for."""
        self._interrupt = interrupt

    def add(self, rows: int) -> None:
        """Counts rows.

        Raises:
            NotWantedError: the request does not want them any more.
            TimedOutError: there was nothing for too long.
        """
        self.check()
        self.rows += rows
        self._latest = time.monotonic()

    def check(self) -> None:
        """Ends an attempt that is over.

        Raises:
            NotWantedError: the request does not want it any more.
            TimedOutError: there was no progress for too long.
        """
        if self._ended is not None:
            raise self._ended

    def _watch(self) -> None:
        shown = -1
        while not self._done.wait(LOOK_SECONDS):
            try:
                if self.rows != shown:
                    is_wanted = self._show()
                    shown = self.rows
                else:
                    is_wanted = self._is_wanted()
            except sa.exc.SQLAlchemyError:
                # The attempt itself meets a server that is gone.
                continue
            if not is_wanted:
                self._end(NotWantedError("The export is not wanted any more."))
            elif time.monotonic() - self._latest > MAX_SILENCE.total_seconds():
                minutes = MAX_SILENCE.total_seconds() / 60
                self._end(TimedOutError(f"Nothing was written for {minutes:g} minutes."))

    def _end(self, error: MarketingPipelinesError) -> None:
        self._ended = self._ended or error
        self._interrupt()

    def _show(self) -> bool:
        rows = self.rows
        with self._engine.begin() as connection:
            shown = connection.execute(
                sa.update(requests).where(self._own).values(rows=rows, progress_at=self._clock())
            )
            is_wanted = shown.rowcount == 1
        if is_wanted:
            # The end is shown by the state; rows may be more than when they were counted.
            self._report(min(rows / max(self._expected, 1), 0.99))
        return is_wanted

    def _is_wanted(self) -> bool:
        with self._engine.connect() as connection:
            return connection.execute(sa.select(1).where(self._own)).first() is not None
