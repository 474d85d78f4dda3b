"""The declared queues: tasks at once, tasks a second, and the treatment of failures."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from marketing_pipelines import policies
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.policies import Kept, QueueOverride
from marketing_pipelines.queueing.retries import Retry
from marketing_pipelines.settings import Settings


@dataclass(frozen=True)
class KeptTasks:
    """Limits of keeping finished tasks: their age and their number."""

    age: dt.timedelta
    rows: int

    @classmethod
    def by(cls, kept: Kept) -> "KeptTasks":
        """The limits that `jobs.toml` gives."""
        return cls(dt.timedelta(hours=kept.hours), kept.rows)


@dataclass(frozen=True)
class Queue:
    """A queue.

    Attributes:
        concurrency: Tasks that one worker process does at once; None: the setting
            `MARKETING_QUEUE_CONCURRENCY`.
        per_second: Tasks that all workers together start in any second; "setting": the value of
            `MARKETING_QUEUE_MAX_JOBS_PER_SECOND`; None: no limit.
        timeout: Time after which an attempt at one of its tasks is stopped; None: the task's own.
        keep_failed: Of the finished rows only; dead letters stay until they are redriven or
            discarded. None: for ever.
    """

    name: str
    concurrency: int | None = None
    per_second: int | Literal["setting"] | None = None
    retry: Retry = Retry.listed(1, 2, 4)  # noqa: RUF009
    timeout: dt.timedelta | None = None
    keep_completed: KeptTasks = KeptTasks(dt.timedelta(hours=24), 1_000)
    keep_failed: KeptTasks | None = KeptTasks(dt.timedelta(days=7), 5_000)

    def __post_init__(self) -> None:
        # It is part of the name of a notification channel, which PostgreSQL cuts at 63 bytes.
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", self.name):
            raise ValueError(f"A queue's name is lower case and at most 40 long: {self.name!r}.")

    def concurrency_by(self, settings: Settings) -> int:
        """Tasks at once in one process."""
        return self.concurrency or settings.queue_concurrency

    def changed_by(self, override: QueueOverride) -> "Queue":
        """The queue with the changes of `jobs.toml`."""
        changes: dict[str, Any] = {}
        if override.concurrency is not None:
            changes["concurrency"] = override.concurrency
        if override.per_second is not None:
            changes["per_second"] = override.per_second or None
        if override.retries is not None:
            changes["retry"] = Retry.listed(*override.retries, jitter=self.retry.jitter)
        if override.timeout is not None:
            changes["timeout"] = dt.timedelta(seconds=override.timeout)
        if override.keep_completed is not None:
            changes["keep_completed"] = KeptTasks.by(override.keep_completed)
        if override.keep_failed is not None:
            kept = override.keep_failed
            changes["keep_failed"] = None if kept == "always" else KeptTasks.by(kept)
        return replace(self, **changes)

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
    """The queues by name, as `jobs.toml` changes them; complete once every `tasks.py` is loaded.

    Raises:
        ConfigurationError: `jobs.toml` cannot be used.
    """
    overrides = policies.queue_overrides()
    return {
        name: queue.changed_by(overrides[name]) if name in overrides else queue
        for name, queue in _queues.items()
    }


def find(name: str) -> Queue:
    """The queue of this name, as `jobs.toml` changes it.

    Raises:
        BadInputError: no queue has it.
        ConfigurationError: `jobs.toml` cannot be used.
    """
    known = declared()
    if name not in known:
        raise BadInputError(f"There is no queue '{name}': name one of {', '.join(sorted(known))}.")
    return known[name]


DEFAULT = declare(Queue("default"))
