"""The work on one request: its file, then its row.

Each attempt has a number and a file of its own. The row names the file of the attempt that settled
it; an attempt that the row does not name removes its file. What a killed attempt left behind, a file
or an unfinished upload, the next one removes before it begins.
"""

import contextlib
import datetime as dt
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.exports.declarations import table_kinds
from marketing_pipelines.domains.exports.notifying import mail_ready
from marketing_pipelines.domains.exports.progress import NotWantedError, Progress
from marketing_pipelines.domains.exports.selection import Choice, TableRows
from marketing_pipelines.domains.exports.snapshot import Snapshot
from marketing_pipelines.domains.exports.tables import requests
from marketing_pipelines.domains.exports.writing import write_table
from marketing_pipelines.failures import MarketingPipelinesError, PermanentError, TimedOutError
from marketing_pipelines.queueing.executor import describe
from marketing_pipelines.queueing.outcomes import TaskLostError
from marketing_pipelines.queueing.tasks import TaskContext
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.files import FileStore

# A dead letter that is sent back is tried again.
WORKABLE = ("queued", "running", "failed")


def work(context: TaskContext, request_id: int) -> None:
    """Writes the file of a request and settles the request; one that was cancelled is left."""
    request = _begin(context, request_id)
    if request is None:
        return
    store = FileStore(get_settings().effective_files_url)
    for attempt in range(1, request.attempt):
        store.discard(path_of(request, attempt))
    path = path_of(request, request.attempt)
    try:
        progress = _write(context, request, store, path)
        _settle(context, request, path, int(store.size(path) or 0), progress)
    except (NotWantedError, TaskLostError):
        store.discard(path)
    except Exception as error:
        with contextlib.suppress(MarketingPipelinesError):
            store.discard(path)
        _note_failure(context, request, error)
        raise


def path_of(request: Any, attempt: int) -> str:
    """Returns the path of an attempt's file."""
    return f"exports/{request.id}-{attempt}.{request.format}"


def _begin(context: TaskContext, request_id: int) -> Any:
    """Takes the request for a new attempt; None: it is cancelled or ready."""
    with context.begin() as connection:
        return connection.execute(
            sa.update(requests)
            .where(requests.c.id == request_id, requests.c.state.in_(WORKABLE))
            .values(
                state="running",
                attempt=requests.c.attempt + 1,
                rows=0,
                error=None,
                note=None,
                ended_at=None,
                started_at=context.clock(),
                progress_at=context.clock(),
            )
            .returning(requests)
        ).first()


def _write(context: TaskContext, request: Any, store: FileStore, path: str) -> Progress:
    choice = Choice(
        request.organization_id,
        request.contact_id,
        request.segment_id,
        request.starts_at,
        request.ends_at,
    )
    progress = Progress(
        context.engine,
        request.id,
        request.attempt,
        expected=request.expected_rows,
        clock=context.clock,
        report=context.progress,
    )
    with progress, Snapshot.taken(context.engine) as snapshot:
        progress.interruptible(snapshot.interrupt)
        try:
            with store.writing(path) as file:
                rows = TableRows(table_kinds()[request.kind], choice)
                write_table(file, request.format, rows, snapshot, request.columns, progress)
                progress.check()
        except (NotWantedError, TimedOutError):
            raise
        except Exception:
            # An interrupted statement says so in the words of its driver.
            progress.check()
            raise
    return progress


def _settle(
    context: TaskContext, request: Any, path: str, size: int, progress: Progress
) -> None:
    now = context.clock()
    with context.finishing() as connection:
        days = settings_of(connection, request.organization_id).exports.valid_days
        settled = connection.execute(
            sa.update(requests)
            .where(
                requests.c.id == request.id,
                requests.c.attempt == request.attempt,
                requests.c.state == "running",
            )
            .values(
                state="ready",
                file=path,
                size=size,
                rows=progress.rows,
                progress_at=now,
                ended_at=now,
                expires_at=now + dt.timedelta(days=days),
            )
            .returning(requests)
        ).first()
        if settled is None:
            raise NotWantedError("The export was cancelled while its file was finished.")
        mail_ready(connection, settled, now)


def _note_failure(context: TaskContext, request: Any, error: Exception) -> None:
    """Says why in the row; it has failed if no other attempt follows."""
    is_over = context.is_last or isinstance(error, PermanentError)
    ended = {"state": "failed", "ended_at": context.clock()} if is_over else {"state": "queued"}
    with context.engine.begin() as connection:
        connection.execute(
            sa.update(requests)
            .where(
                requests.c.id == request.id,
                requests.c.attempt == request.attempt,
                requests.c.state == "running",
            )
            .values(error=describe(error).error, **ended)
        )
