"""Queries that end when the run that waits for them ends."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


def interruptibly(query: Callable[[], T], interrupt: Callable[[], object]) -> T:
    """Runs a query in a thread: engines look for signals seldom, and a waiting thread at once.

    The time limit or Ctrl-C, which interrupts the waiting, interrupts the query too.
    """
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(query)
        try:
            return result.result()
        except BaseException:
            while not result.done():
                interrupt()
                wait([result], timeout=0.1)
            raise
