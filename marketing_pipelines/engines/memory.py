"""The memory that engines may use in the run of a job."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_limit_mb: ContextVar[int | None] = ContextVar("limit_mb", default=None)


@contextlib.contextmanager
def limited_to(megabytes: int) -> Iterator[None]:
    """Limits the engines that are opened inside."""
    token = _limit_mb.set(megabytes)
    try:
        yield
    finally:
        _limit_mb.reset(token)


def limit_mb() -> int | None:
    """The limit that holds here, MB; None: the engines' own."""
    return _limit_mb.get()
