"""The end of work that needs more memory than its job allows."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import psutil

from marketing_pipelines.engines import memory
from marketing_pipelines.failures import OutOfMemoryError
from marketing_pipelines.runs.timeouts import RAISE_AGAIN_AFTER

# Seconds between two looks; work that is above its limit at two in a row is ended.
LOOKS_EVERY = 1.0
_MB = 1024 * 1024
# No part of Python, Dagster or a driver uses it.
_SIGNAL = signal.SIGUSR1


class _Alarm(KeyboardInterrupt):
    """Interrupts as Ctrl-C does, so that drivers cancel their statements on the server."""


@contextlib.contextmanager
def memory_limit(job: str, megabytes: int | None) -> Iterator[None]:
    """Stops the work when its process and the children of it hold too much memory.

    DuckDB is limited to four fifths of it, and spills to the disk before it is stopped. Signals
    reach the main thread only, where every run does its work.

    Args:
        megabytes: Largest resident memory; None: no limit.

    Raises:
        OutOfMemoryError: it was stopped.
    """
    if megabytes is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        # It may arrive when the work has just ended.
        if not ended.is_set():
            raise _Alarm

    ended, exceeded = threading.Event(), threading.Event()
    watch = threading.Thread(target=_watch, args=(megabytes, ended, exceeded), daemon=True)
    handler = signal.signal(_SIGNAL, interrupt)
    try:
        with memory.limited_to(megabytes * 4 // 5):
            watch.start()
            yield
    except BaseException as error:
        if not exceeded.is_set():
            raise
        raise OutOfMemoryError(f"{job} needed more than {megabytes} MB (memory_mb).") from (
            None if isinstance(error, _Alarm) else error
        )
    finally:
        ended.set()
        watch.join()
        signal.signal(_SIGNAL, handler)


def _watch(megabytes: int, ended: threading.Event, exceeded: threading.Event) -> None:
    looks_above = 0
    while not ended.wait(LOOKS_EVERY):
        looks_above = looks_above + 1 if resident_mb() > megabytes else 0
        if looks_above >= 2:
            break
    while not ended.is_set():
        exceeded.set()
        signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
        ended.wait(RAISE_AGAIN_AFTER.total_seconds())


def resident_mb() -> int:
    """Resident memory of this process and its children, MB."""
    process = psutil.Process()
    total = 0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            total += one.memory_info().rss
    return total // _MB
