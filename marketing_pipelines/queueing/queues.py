"""The declared queues: tasks at once, tasks a second, and the treatment of failures."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing.retries import Retry
from marketing_pipelines.settings import Settings


@dataclass(frozen=True)
class KeptTasks:
    """Limits of keeping finished tasks: their age and their number."""

    age: dt.timedelta
    rows: int


@dataclass(frozen=True)
class Queue:
    """A queue.

    Attributes:
        concurrency: Tasks that one worker process does at once; None: the setting
            `MARKETING_QUEUE_CONCURRENCY`.
        per_second: Tasks that all workers together start in any second; "setting": the value of
            `MARKETING_QUEUE_MAX_JOBS_PER_SECOND`; None: no limit.
        keep_failed: Of the finished rows only; dead letters stay until they are redriven or
            discarded.
    """

    name: str
    concurrency: int | None = None
    per_second: int | Literal["setting"] | None = None
    retry: Retry = Retry.listed(1, 2, 4)  # noqa: RUF009
    keep_completed: KeptTasks = KeptTasks(dt.timedelta(hours=24), 1_000)
    keep_failed: KeptTasks = KeptTasks(dt.timedelta(days=7), 5_000)

    def __post_init__(self) -> None:
        # It is part of the name of a notification channel, which PostgreSQL cuts at 63 bytes.
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", self.name):
            raise ValueError(f"A queue's name is lower case and at most 40 long: {self.name!r}.")

    def concurrency_by(self, settings: Settings) -> int:
        """Tasks at once in one process."""
        return self.concurrency or settings.queue_concurrency

    def limit_by(self, settings: Settings) -> int | None:
        """Starts per second over all workers; None: no limit."""
        if self.per_second == "setting":
            return settings.queue_max_jobs_per_second
        return self.per_second


_queues: dict[str, Queue] = {}


def declare(queue: Queue) -> Queue:
    """Makes the queue known to workers and commands; domains do so where they declare tasks."""
    known = _queues.setdefault(queue.name, queue)
    if known != queue:
        raise ValueError(f"The queue {queue.name} is declared twice, differently.")
    return queue


def declared() -> Mapping[str, Queue]:
    """The queues by name; complete once every `tasks.py` is loaded."""
    return _queues


def find(name: str) -> Queue:
    """The queue of this name.

    Raises:
        BadInputError: no queue has it.
    """
    if name not in _queues:
        raise BadInputError(
            f"There is no queue '{name}': name one of {', '.join(sorted(_queues))}."
        )
    return _queues[name]


DEFAULT = declare(Queue("default"))
