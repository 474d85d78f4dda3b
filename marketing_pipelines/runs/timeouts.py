"""The end of work that takes longer than its job allows."""

import contextlib
import datetime as dt
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import sqlalchemy as sa

from marketing_pipelines.failures import TimedOutError

# Some code swallows the first alarm; clearing up after it may take this long.
RAISE_AGAIN_AFTER = dt.timedelta(seconds=15)
# A session is silent so long before it is ended, and its end may take so long to write.
SILENCE = dt.timedelta(seconds=30)


class _Alarm(KeyboardInterrupt):
    """Interrupts as Ctrl-C does, so that drivers cancel their statements on the server."""


@contextlib.contextmanager
def time_limit(job: str, limit: dt.timedelta) -> Iterator[None]:
    """Stops the work when its time is up, in Python and on the server.

    PostgreSQL stops a statement by itself; this stops everything else. Signals reach the main
    thread only, where every run does its work.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    is_over = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_over
        is_over = True
        raise _Alarm

    handler = signal.signal(signal.SIGALRM, interrupt)
    again = RAISE_AGAIN_AFTER.total_seconds()
    timer = signal.setitimer(signal.ITIMER_REAL, limit.total_seconds(), again)
    try:
        yield
    except BaseException as error:
        if not is_over:
            raise
        # DuckDB, for one, makes an error of its own out of the alarm.
        raise TimedOutError(
            f"{job} was stopped after {limit.total_seconds():g} s, the time it may take."
        ) from (None if isinstance(error, _Alarm) else error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def limit_server(connection: sa.Connection, timeout: dt.timedelta) -> None:
    """Limits the server: a statement ends at the job's time, a silent session soon after.

    Without the limit, a session whose client cannot be reached any more would keep its locks for
    ever.
    """
    limits = {
        "statement_timeout": timeout,
        "idle_in_transaction_session_timeout": timeout + SILENCE,
        "idle_session_timeout": timeout + SILENCE,
    }
    settings = [
        sa.func.set_config(name, f"{limit // dt.timedelta(milliseconds=1)}", False)
        for name, limit in limits.items()
    ]
    connection.execute(sa.select(*settings))
