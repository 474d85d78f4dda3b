"""The end of work that takes longer than its job allows."""

import contextlib
import datetime as dt
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from marketing_pipelines.failures import TimedOutError


class _Alarm(KeyboardInterrupt):
    """Interrupts as Ctrl-C does, so that drivers cancel what the server is doing for them."""


@contextlib.contextmanager
def time_limit(job: str, limit: dt.timedelta) -> Iterator[None]:
    """Stops the work when its time is up, whatever it is doing.

    PostgreSQL stops a statement by itself; this stops everything else. Signals reach the main
    thread only, where every run does its work.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def strike(_number: int, _frame: FrameType | None) -> None:
        raise _Alarm

    handler = signal.signal(signal.SIGALRM, strike)
    timer = signal.setitimer(signal.ITIMER_REAL, limit.total_seconds())
    try:
        yield
    except _Alarm:
        raise TimedOutError(
            f"{job} was stopped after {limit.total_seconds():g} s, the time it may take."
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
