"""Putting tasks into their queue, in the transaction of the rows that they speak of."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing.tasks import Task

Source = Sequence[Mapping[str, Any]] | sa.Select[Any]


def enqueue(
    connection: sa.Connection,
    task: Task,
    source: Source,
    *,
    priority: int = 0,
    due_at: dt.datetime | None = None,
    unique_key: Sequence[str] | None = None,
    lock: Sequence[str] | None = None,
) -> list[int]:
    """Enqueues one task per row, in one statement of the caller's transaction.

    Args:
        source: Payloads; or a SELECT, each row of which is one by its columns' names.
        priority: Higher is done first.
        due_at: Not before this instant.
        unique_key: Fields of the payload: a task that would be the second to wait with the same
            values is left out.
        lock: Fields of the payload: tasks with the same values are done one after the other, in
            the order they were enqueued.

    Returns:
        The numbers of the new tasks.
    """
    fields = [*(unique_key or ()), *(lock or ())]
    if isinstance(source, sa.Select):
        missing = set(fields) - {column.name for column in source.selected_columns}
        row = source.subquery("payload_row")
        payloads = sa.select(sa.func.to_jsonb(sa.literal_column("payload_row")).label("payload"))
        payloads = payloads.select_from(row)
    else:
        missing = {name for name in fields if any(name not in row for row in source)}
        rows = sa.func.jsonb_array_elements(sa.cast(list(source), pg.JSONB))
        payloads = sa.select(rows.table_valued(name="payload").column.label("payload"))
    if missing:
        raise BadInputError(
            f"The payload of {task.name} has no {', '.join(sorted(missing))}, which its unique key "
            "or its lock is made of."
        )
    numbered = payloads.subquery("payloads")
    statement = (
        pg.insert(_jobs)
        .from_select(
            list(_COLUMNS),
            sa.select(
                sa.literal(task.queue.name),
                sa.literal(task.name),
                sa.literal(priority),
                _key(task, lock, numbered.c.payload),
                _key(task, unique_key, numbered.c.payload),
                numbered.c.payload,
                sa.cast(due_at, sa.DateTime(timezone=True)),
            ),
        )
        .on_conflict_do_nothing(
            index_elements=["queueing_lock"], index_where=sa.text("status = 'todo'")
        )
        .returning(_jobs.c.id)
    )
    return list(connection.execute(statement).scalars())


def _key(task: Task, fields: Sequence[str] | None, payload: sa.ColumnElement[Any]) -> Any:
    """`domain/task[1, "x"]`: different values never make the same key."""
    if fields is None:
        return sa.null()
    values = sa.func.jsonb_build_array(*(payload.op("->")(name) for name in fields))
    return sa.literal(task.name) + sa.cast(values, sa.Text)


_COLUMNS = (
    "queue_name", "task_name", "priority", "lock", "queueing_lock", "args", "scheduled_at",
)  # fmt: skip
_jobs = sa.table("procrastinate_jobs", sa.column("id", sa.BigInteger), *map(sa.column, _COLUMNS))
