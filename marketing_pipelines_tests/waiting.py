"""Waiting for something that can be seen, instead of for some time."""

import time
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

T = TypeVar("T")
_LOCK_WAITS = sa.text(
    "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
)


def until(seen: Callable[[], T], *, seconds: float = 300.0, what: str = "it") -> T:
    """Looks again and again; returns the first true value.

    Args:
        seconds: What a machine with many other things to do may need, not what it takes.

    Raises:
        AssertionError: it was not seen in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        value = seen()
        if value:
            return value
        now = time.monotonic()
        assert now < deadline, f"waited {seconds:.0f} s for {what}"
        # Looks that take long would take the processor from what they wait for.
        time.sleep(min(max(0.02, 5 * (now - began)), 0.25))


def waits_for_a_lock(engine: sa.Engine) -> bool:
    """Returns true if a session of this database waits for what another has locked.

    Other databases of the server do not count: other tests use them at the same time.
    """
    with engine.connect() as connection:
        return connection.execute(_LOCK_WAITS).first() is not None
