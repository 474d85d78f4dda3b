"""Loading files of events and of business rows into PostgreSQL.

Owns what `marketing-pipelines load` does: reading CSV, JSON lines and Parquet in one pass, refusing
bad rows without stopping, storing the others so that a second load changes nothing. Domains declare
the kinds of rows; rows that an application or another system sends take the same way.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import sqlalchemy as sa

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading.pipeline import Progress
from marketing_pipelines.loading.results import LoadResult, Reject
from marketing_pipelines.settings import Settings

__all__ = ["LoadResult", "Progress", "load_file", "load_rows", "loadable"]

EVENTS = "events"


def loadable() -> list[str]:
    """Returns the names of all kinds that can be loaded."""
    from marketing_pipelines.loading.kinds import kinds

    return [*kinds(), EVENTS]


def load_file(
    engine: sa.Engine,
    kind: str,
    path: Path,
    *,
    settings: Settings,
    timezone: str | None = None,
    rejects: Path | None = None,
    restore_consent: bool = False,
    on_progress: Progress | None = None,
) -> LoadResult:
    """Loads one file in one pass with bounded memory; loading it again changes nothing.

    Args:
        kind: one of `loadable()`.
        path: CSV, JSON lines (both also as gzip) or Parquet.
        timezone: IANA zone in which instants without a zone are read; None: they are refused.
        rejects: file for refused rows; default next to the input.
        restore_consent: rows about an erased person are a new relationship, and not refused.
        on_progress: called with bytes read, bytes of the file, rows read so far.

    Raises:
        BadInputError: the kind, the zone or the file as a whole cannot be used.
        StoreUnavailableError: PostgreSQL does not answer; stored rows stay stored.
    """
    from marketing_pipelines.loading.checker import borrowed_checker
    from marketing_pipelines.loading.entities import EntityTarget
    from marketing_pipelines.loading.events import REQUIRED, EventsTarget
    from marketing_pipelines.loading.kinds import kinds
    from marketing_pipelines.loading.pipeline import Target, run_load
    from marketing_pipelines.loading.readers import open_reader
    from marketing_pipelines.loading.rejects import RejectsFile, default_rejects_path

    if kind not in loadable():
        raise BadInputError(f"'{kind}' cannot be loaded: choose one of {', '.join(loadable())}.")
    if timezone is not None and timezone not in available_timezones():
        raise BadInputError(
            f"--timezone '{timezone}' is not an IANA time zone such as 'Europe/Berlin'."
        )
    started_at = dt.datetime.now(dt.UTC)
    reader = open_reader(path, REQUIRED if kind == EVENTS else kinds()[kind].required)
    with borrowed_checker() as checker:
        target: Target
        if kind == EVENTS:
            target = EventsTarget(
                engine,
                reader,
                checker,
                settings=settings,
                timezone=timezone,
                started_at=started_at,
                restore_consent=restore_consent,
            )
        else:
            target = EntityTarget(
                kinds()[kind],
                reader,
                checker,
                settings=settings,
                timezone=timezone,
                now=started_at,
                restore_consent=restore_consent,
            )
        with RejectsFile(rejects or default_rejects_path(path)) as rejected:
            return run_load(engine, reader, target, rejected, on_progress)


def load_rows(
    engine: sa.Engine, kind: str, rows: Sequence[Any], *, settings: Settings, now: dt.datetime
) -> tuple[LoadResult, list[Reject]]:
    """Loads rows that another system sent, with the checks of a file of them.

    Instants without a zone are refused.

    Args:
        kind: one of `loadable()`.
        rows: values of JSON; each should be an object with the columns of a file of the kind.
        now: `received_at` of events that do not say it, and the instant of changes of status or
            stage that name none.

    Returns:
        The result, and the refused rows, whose lines are those of `rows`, from 1.

    Raises:
        StoreUnavailableError: PostgreSQL does not answer; stored rows stay stored.
    """
    from marketing_pipelines.loading.checker import borrowed_checker
    from marketing_pipelines.loading.entities import EntityTarget
    from marketing_pipelines.loading.events import EventsTarget
    from marketing_pipelines.loading.kinds import kinds
    from marketing_pipelines.loading.pipeline import Target, run_load
    from marketing_pipelines.loading.rejects import RejectsList
    from marketing_pipelines.loading.rows import RowsReader

    reader, rejects = RowsReader(kind, rows), RejectsList()
    with borrowed_checker() as checker:
        target: Target
        if kind == EVENTS:
            target = EventsTarget(
                engine, reader, checker, settings=settings, timezone=None, started_at=now
            )
        else:
            target = EntityTarget(
                kinds()[kind], reader, checker, settings=settings, timezone=None, now=now
            )
        result = run_load(engine, reader, target, rejects, None)
    return result, sorted(rejects.rows)
