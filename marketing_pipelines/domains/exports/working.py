"""The work on one request: its file, then its row.

Each attempt has a number and a file of its own. The row names the file of the attempt that settled
it; an attempt that the row does not name removes its file. The next attempt removes what a killed
one left behind, a file or an unfinished upload, before it begins.
"""

import contextlib
import datetime as dt
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.exports.kinds import rows_of
from marketing_pipelines.domains.exports.notifying import mail_ready
from marketing_pipelines.domains.exports.progress import AttemptProgress, NotWantedError
from marketing_pipelines.domains.exports.reading import folder_of
from marketing_pipelines.domains.exports.selection import RowChoice
from marketing_pipelines.domains.exports.snapshot import Snapshot
from marketing_pipelines.domains.exports.tables import requests
from marketing_pipelines.domains.exports.writing import FileOrder, write_file
from marketing_pipelines.failures import MarketingPipelinesError, PermanentError, TimedOutError
from marketing_pipelines.queueing.executor import describe
from marketing_pipelines.queueing.outcomes import TaskLostError
from marketing_pipelines.queueing.tasks import TaskContext
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.lake import Lake

# A dead letter that is sent back is tried again.
WORKABLE = ("queued", "running", "failed")


def work(context: TaskContext, request_id: int) -> None:
    """Writes the file of a request and settles the request; one that was cancelled is left."""
    store = FileStore(get_settings().effective_files_url)
    request = _begin(context, request_id)
    if request is None:
        _clear_cancelled(context, request_id, store)
        return
    path = f"{folder_of(request.id)}/{request.attempt}.{request.format}"
    try:
        store.clear(folder_of(request.id))
        rows, note = _write(context, request, store, path)
        _settle(context, request, path, int(store.size(path) or 0), rows, note)
    except (NotWantedError, TaskLostError):
        store.remove(path)
    except Exception as error:
        with contextlib.suppress(MarketingPipelinesError, sa.exc.SQLAlchemyError):
            _discard(context, request.id, store, path)
        _note_failure(context, request, error)
        raise


def _discard(context: TaskContext, request_id: int, store: FileStore, path: str) -> None:
    """Removes the file of an attempt unless the row names it: a lost commit may have been done."""
    with context.engine.begin() as connection:
        named = connection.execute(
            sa.select(requests.c.file).where(requests.c.id == request_id)
        ).scalar()
    if named != path:
        store.remove(path)


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


def _clear_cancelled(context: TaskContext, request_id: int, store: FileStore) -> None:
    """Removes what a killed worker left of an export that is cancelled, or whose row is gone."""
    with context.begin() as connection:
        state = connection.execute(
            sa.select(requests.c.state).where(requests.c.id == request_id)
        ).scalar()
    if state in (None, "cancelled"):
        store.clear(folder_of(request_id))


def _write(
    context: TaskContext, request: Any, store: FileStore, path: str
) -> tuple[int, str | None]:
    """Writes the file; returns the number of its rows, and what it lacks."""
    choice = RowChoice(
        request.organization_id,
        request.contact_id,
        request.segment_id,
        request.starts_at,
        request.ends_at,
    )
    title = f"{request.kind.replace('_', ' ').capitalize()} of {_organization(context, request)}"
    about = f"{title}, {context.clock():%Y-%m-%d %H:%M} UTC"
    progress = AttemptProgress(
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
                order = FileOrder(
                    request.format, rows_of(request.kind, choice), request.columns, title, about
                )
                lake = Lake(get_settings().effective_lake_url)
                note = write_file(file, order, snapshot, lake, store, progress)
                progress.check()
        except (NotWantedError, TimedOutError):
            raise
        except Exception:
            # An interrupted statement says so in the words of its driver.
            progress.check()
            raise
    return progress.rows, note


def _settle(
    context: TaskContext, request: Any, path: str, size: int, rows: int, note: str | None
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
                note=note,
                file=path,
                size=size,
                rows=rows,
                progress_at=now,
                ended_at=now,
                expires_at=now + dt.timedelta(days=days),
            )
            .returning(requests)
        ).first()
        if settled is None:
            raise NotWantedError("The export was cancelled while its file was finished.")
        unsent = mail_ready(connection, settled)
        if unsent is not None:
            noted = " ".join(sentence for sentence in (note, unsent) if sentence)
            connection.execute(
                sa.update(requests).where(requests.c.id == request.id).values(note=noted)
            )


def _organization(context: TaskContext, request: Any) -> str:
    with context.engine.connect() as connection:
        row = connection.execute(
            sa.select(organizations.c.name, organizations.c.external_id).where(
                organizations.c.id == request.organization_id
            )
        ).one()
    return str(row.name or row.external_id)


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
