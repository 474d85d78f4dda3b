"""Putting tasks into their queue, in the transaction of the rows that they speak of."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing.queues import Queue
from marketing_pipelines.queueing.tables import task_keys
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
    unique: Literal["waiting", "unended"] = "waiting",
    unique_for: dt.timedelta | None = None,
    lock: Sequence[str] | None = None,
    queue: Queue | None = None,
    hasten: bool = False,
) -> list[int]:
    """Enqueues one task per row, in one statement of the caller's transaction.

    Args:
        source: Payloads; or a SELECT, each row of which is one by its columns' names.
        priority: Higher is done first.
        due_at: Not before this instant.
        unique_key: Fields of the payload: a task that would be the second with the same values is
            left out.
        unique: The tasks that keep others with their key out: those that wait, or all that have
            not ended. All calls for one task use the same, since the keys are kept apart.
        unique_for: Time after its completion during which a task keeps others with its key out,
            too; with it, `unique` is "unended". A task that failed for good or was cancelled
            frees its key at once.
        lock: Fields of the payload: tasks with the same values are done one after the other, in
            the order they were enqueued.
        queue: Queue of these tasks; None: the one that the task is declared with.
        hasten: With a unique key that each row has once: a task that waits with the key for a later
            instant, or in another queue, becomes due at this one, in this queue. No worker takes
            it before the transaction ends, so that it finds the rows that it is enqueued for.

    Returns:
        The numbers of the new tasks, and of those that `hasten` changed.
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
    if unique_for is not None and unique_key is None:
        raise BadInputError(f"unique_for of {task.name} needs a unique_key.")
    if hasten and (unique_key is None or unique != "waiting" or unique_for is not None):
        raise BadInputError(f"hasten of {task.name} needs a unique_key of tasks that wait.")
    if missing:
        raise BadInputError(
            f"The payload of {task.name} has no {', '.join(sorted(missing))}, which its unique key "
            "or its lock is made of."
        )
    row = payloads.subquery("payloads")
    key = _key(task, unique_key, row.c.payload)
    values = [
        sa.literal((queue or task.queue).name).label("queue_name"),
        sa.literal(task.name).label("task_name"),
        sa.literal(priority).label("priority"),
        _key(task, lock, row.c.payload).label("lock"),
        row.c.payload.label("args"),
        sa.cast(due_at, sa.DateTime(timezone=True)).label("scheduled_at"),
    ]
    if unique_for is None and (unique == "waiting" or unique_key is None):
        statement = _insert(sa.select(*values, key.label("queueing_lock")), hasten=hasten)
    else:
        statement = _insert_with_keys(task, sa.select(*values, key.label("key")), unique_for)
    return list(connection.execute(statement).scalars())


def has_live(task: Task, **key: sa.ColumnElement[Any]) -> sa.Exists:
    """The condition that a task waits or works whose lock is made of these values."""
    values = sa.func.jsonb_build_array(*key.values())
    lock = sa.literal(task.name) + sa.cast(values, sa.Text)
    return sa.exists().where(_jobs.c.lock == lock, sa.text("status in ('todo', 'doing')"))


def _insert(tasks: sa.Select[Any], *, hasten: bool = False) -> Any:
    """Leaves out the tasks whose unique key another one waits with, or makes that one due."""
    insert = pg.insert(_jobs).from_select([column.name for column in tasks.selected_columns], tasks)
    waiting: dict[str, Any] = {
        "index_elements": ["queueing_lock"],
        "index_where": sa.text("status = 'todo'"),
    }
    if not hasten:
        return insert.on_conflict_do_nothing(**waiting).returning(_jobs.c.id)
    wanted = insert.excluded.scheduled_at
    is_late = _jobs.c.scheduled_at > sa.func.coalesce(wanted, sa.func.clock_timestamp())
    # A row for which `where` is false is locked all the same.
    return insert.on_conflict_do_update(
        **waiting,
        set_={
            "scheduled_at": sa.case((is_late, wanted), else_=_jobs.c.scheduled_at),
            "queue_name": insert.excluded.queue_name,
        },
        where=sa.or_(is_late, _jobs.c.queue_name != insert.excluded.queue_name),
    ).returning(_jobs.c.id)


def _insert_with_keys(task: Task, tasks: sa.Select[Any], unique_for: dt.timedelta | None) -> Any:
    """Takes the keys that are free, in their order, and inserts the first task of each."""
    number = sa.func.nextval(sa.func.pg_get_serial_sequence("procrastinate_jobs", "id"))
    numbered = tasks.add_columns(number.label("id")).cte("numbered")
    first = sa.select(
        sa.literal(task.name),
        numbered.c.key,
        sa.func.min(numbered.c.id),
        sa.literal(unique_for or dt.timedelta(), sa.Interval),
    )
    keys = pg.insert(task_keys).from_select(
        ["task", "key", "task_id", "unique_for"],
        first.group_by(numbered.c.key).order_by(numbered.c.key),
    )
    taken = (
        keys.on_conflict_do_update(
            index_elements=["task", "key"],
            set_={
                "task_id": keys.excluded.task_id,
                "unique_for": keys.excluded.unique_for,
                "until": None,
            },
            where=task_keys.c.until <= sa.func.clock_timestamp(),
        )
        .returning(task_keys.c.task_id)
        .cte("taken")
    )
    chosen = [column for column in numbered.c if column.name != "key"]
    return _insert(sa.select(*chosen).join(taken, taken.c.task_id == numbered.c.id))


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
