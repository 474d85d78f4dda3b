"""The counts of exports, the end of those whose worker was killed, and the end of their files."""

import contextlib
import datetime as dt
import time
from dataclasses import dataclass

import sqlalchemy as sa

from marketing_pipelines.domains.exports.reading import EXPORTS_FOLDER, folder_of
from marketing_pipelines.domains.exports.tables import STATES, UNENDED, requests
from marketing_pipelines.failures import StoreUnavailableError
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.postgres import Begin

BATCH = 500
# Exports that ended so long ago are counted no more: the counts are of the queue, not of history.
COUNTED = dt.timedelta(days=7)
_LOST = sa.text("""
    update exports.requests as request
    set state = 'failed', ended_at = :now,
        error = coalesce(
            (select letter.error from ops.dead_letters as letter
             where letter.task_id = request.task_id),
            'The task of the export was removed from its queue: ask for the export again.')
    where request.state in ('queued', 'running')
        and not exists (
            select from procrastinate_jobs as job
            where job.id = request.task_id and job.status in ('todo', 'doing')
        )
        and not exists (
            select from procrastinate_jobs as job
            join ops.dead_letters as letter on letter.redriven_task_id = job.id
            where letter.task_id = request.task_id and job.status in ('todo', 'doing')
        )
    returning request.id
""")


def counts_of(connection: sa.Connection, now: dt.datetime) -> dict[str, int]:
    """Returns the number of exports in each state; of ended ones, those of the last seven days."""
    rows = connection.execute(
        sa.select(requests.c.state, sa.func.count().label("number"))
        .where(requests.c.created_at > now - COUNTED)
        .group_by(requests.c.state)
    )
    counted = {row.state: row.number for row in rows}
    return {state: counted.get(state, 0) for state in STATES}


def settle_lost(begin: Begin, store: FileStore, now: dt.datetime) -> list[int]:
    """Fails the exports whose task is over without having settled them, and clears their folders.

    A folder that the store does not clear is left to `remove_unnamed`.

    Returns:
        Their numbers.
    """
    with begin() as connection:
        lost = list(connection.execute(_LOST, {"now": now}).scalars())
    for export_id in lost:
        with contextlib.suppress(StoreUnavailableError):
            store.clear(folder_of(export_id))
    return lost


@dataclass(frozen=True)
class RemovedFiles:
    """The result of one removal; `error` is the last of the files that stayed."""

    files: int
    failed: int
    error: str | None


def remove_expired(
    begin: Begin, store: FileStore, instant: dt.datetime, *, ends_at: float
) -> RemovedFiles:
    """Removes the files of exports whose days are over; the rows stay, as `expired`.

    A file goes before its row forgets it, outside any transaction: a process that is killed in
    between leaves a row whose file is gone, and the next tick forgets it.

    Args:
        begin: Opens a transaction; each batch has two of its own.
        ends_at: Monotonic time after which no further batch begins.
    """
    files = failed = after = 0
    error: str | None = None
    while time.monotonic() < ends_at:
        with begin() as connection:
            found = list(
                connection.execute(
                    sa.select(requests.c.id)
                    .where(
                        requests.c.file.is_not(None),
                        requests.c.expires_at <= instant,
                        requests.c.id > after,
                    )
                    .order_by(requests.c.id)
                    .limit(BATCH)
                ).scalars()
            )
        gone = []
        for export_id in found:
            try:
                store.clear(folder_of(export_id))
                gone.append(export_id)
            except StoreUnavailableError as problem:
                failed += 1
                error = str(problem)
        if gone:
            with begin() as connection:
                connection.execute(
                    sa.update(requests)
                    .where(requests.c.id.in_(gone))
                    .values(state="expired", file=None)
                )
        files += len(gone)
        if len(found) < BATCH:
            break
        after = found[-1]
    return RemovedFiles(files, failed, error)


def remove_unnamed(begin: Begin, store: FileStore, *, ends_at: float) -> RemovedFiles:
    """Clears the folders of files that no row names and no worker writes.

    Killed workers, erasures and restores leave them. The files are listed before the rows are read:
    a file of a running export has its row already.

    Args:
        begin: Opens a transaction; each batch has one of its own.
        ends_at: Monotonic time after which no further batch begins.
    """
    files = failed = 0
    error: str | None = None
    try:
        numbers = sorted(
            {
                int(number)
                for file in store.files(EXPORTS_FOLDER)
                if (number := file.path.split("/")[1]).isdecimal()
            }
        )
    except StoreUnavailableError as problem:
        return RemovedFiles(0, 1, str(problem))
    for start in range(0, len(numbers), BATCH):
        batch = numbers[start : start + BATCH]
        if time.monotonic() >= ends_at:
            break
        with begin() as connection:
            kept = set(
                connection.execute(
                    sa.select(requests.c.id).where(
                        requests.c.id.in_(batch),
                        requests.c.state.in_(UNENDED) | requests.c.file.is_not(None),
                    )
                ).scalars()
            )
        for export_id in batch:
            if export_id in kept:
                continue
            try:
                store.clear(folder_of(export_id))
                files += 1
            except StoreUnavailableError as problem:
                failed += 1
                error = str(problem)
    return RemovedFiles(files, failed, error)
