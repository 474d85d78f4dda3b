"""Dead letters: looking at them, sending them back to their queue, discarding them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing.tables import dead_letters as letters

STATES = ("dead", "redriven", "discarded")


@dataclass(frozen=True)
class DeadLetter:
    """A task that failed for good.

    The columns of `ops.dead_letters`.
    """

    id: int
    task_id: int
    queue: str
    task: str
    payload: dict[str, Any]
    priority: int
    lock: str | None
    unique_key: str | None
    error: str
    traceback: str | None
    attempts: int
    first_failed_at: dt.datetime
    last_failed_at: dt.datetime
    state: str
    settled_at: dt.datetime | None
    redriven_task_id: int | None


@dataclass(frozen=True)
class LetterFilter:
    """Conditions on dead letters; None: any.

    Attributes:
        error: Part of the error's sentence, in any case.
        since: Not those whose last attempt failed earlier.
    """

    queue: str | None = None
    task: str | None = None
    error: str | None = None
    since: dt.datetime | None = None

    @property
    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """The conditions in SQL."""
        found = []
        if self.queue is not None:
            found.append(letters.c.queue == self.queue)
        if self.task is not None:
            found.append(letters.c.task == self.task)
        if self.error is not None:
            found.append(letters.c.error.icontains(self.error, autoescape=True))
        if self.since is not None:
            found.append(letters.c.last_failed_at >= self.since)
        return found


ANY = LetterFilter()


def dead_letters(
    connection: sa.Connection,
    wanted: LetterFilter = ANY,
    state: str | None = "dead",
    limit: int = 100,
) -> list[DeadLetter]:
    """The latest dead letters of the filter, newest first; in one state or any (None)."""
    query = sa.select(letters).where(*wanted.conditions)
    if state is not None:
        query = query.where(letters.c.state == state)
    found = connection.execute(query.order_by(letters.c.id.desc()).limit(limit))
    return [DeadLetter(**row._mapping) for row in found]


def dead_letter(connection: sa.Connection, letter_id: int) -> DeadLetter:
    """One dead letter.

    Raises:
        BadInputError: there is none with this number.
    """
    row = connection.execute(sa.select(letters).where(letters.c.id == letter_id)).first()
    if row is None:
        raise BadInputError(
            f"There is no dead letter {letter_id}: `marketing-pipelines dead-letters list` shows "
            "them."
        )
    return DeadLetter(**row._mapping)


def of_task(connection: sa.Connection, task_id: int) -> list[int]:
    """The number of the dead letter of a task, in a list; none without one."""
    found = sa.select(letters.c.id).where(letters.c.task_id == task_id)
    return list(connection.execute(found).scalars())


def redrive(
    connection: sa.Connection,
    ids: Sequence[int] | None = None,
    wanted: LetterFilter = ANY,
    limit: int | None = None,
) -> int:
    """Sends dead letters back to their queue, oldest first, each as a new task with all attempts.

    One that was sent back before stays as it is. If a task with the same unique key waits already,
    that task does the work, and the letter counts as sent back.

    Args:
        ids: These; None: all of the filter.
        limit: At most so many.

    Returns:
        Number of tasks sent back.
    """
    chosen = sa.select(letters.c.id).where(letters.c.state == "dead", *wanted.conditions)
    if ids is not None:
        chosen = chosen.where(letters.c.id.in_(ids))
    chosen = chosen.order_by(letters.c.id).limit(limit).with_for_update()
    rows = connection.execute(_REDRIVE, {"ids": list(connection.execute(chosen).scalars())})
    return rows.rowcount


def discard(connection: sa.Connection, ids: Sequence[int]) -> int:
    """Settles dead letters without doing their work; returns how many were dead until now."""
    discarded = connection.execute(
        sa.update(letters)
        .where(letters.c.id.in_(ids), letters.c.state == "dead")
        .values(state="discarded", settled_at=sa.func.clock_timestamp())
    )
    return discarded.rowcount


# The key of a letter is taken again, unless another task with it has not ended, or not long ago.
_REDRIVE = sa.text("""
    with chosen as (
        select *, nextval(pg_get_serial_sequence('procrastinate_jobs', 'id')) as new_id
        from ops.dead_letters
        where id = any(cast(:ids as bigint[]))
    ),
    keyed as (
        select chosen.id
        from chosen
        join ops.task_keys as known
            on known.task = chosen.task and known.key = chosen.unique_key
    ),
    taken as (
        update ops.task_keys as known
        set task_id = new_id, until = null
        from chosen
        where known.task = chosen.task and known.key = chosen.unique_key
            and (known.task_id = chosen.task_id or known.until <= clock_timestamp())
        returning new_id
    ),
    sent as (
        insert into procrastinate_jobs (
            id, queue_name, task_name, priority, lock, queueing_lock, args
        )
        select new_id, queue, task, priority, lock,
               case when id not in (select id from keyed) then unique_key end, payload
        from chosen
        where id not in (select id from keyed) or new_id in (select new_id from taken)
        order by id
        on conflict (queueing_lock) where status = 'todo' do nothing
        returning id
    )
    update ops.dead_letters as letter
    set state = 'redriven', settled_at = clock_timestamp(), redriven_task_id = sent.id
    from chosen
    left join sent on sent.id = chosen.new_id
    where letter.id = chosen.id
""")
