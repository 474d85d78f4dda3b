"""The nightly pass over the erasures that are not done."""

from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.upkeep.erasing import erasing, exports, records, rows
from marketing_pipelines.domains.upkeep.erasing.events import erase_events
from marketing_pipelines.failures import StoreUnavailableError, TimedOutError
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.lake import Lake


def erase_pending(tick: Tick, lake: Lake) -> None:
    """Erases what came of persons since, and the events of all of them in one pass.

    Each erasure is an item; one that fails waits for the next tick.
    """
    _keep_lifted(tick)
    with tick.begin() as connection:
        found = erasing.pending(connection)
    if not found:
        return
    engine = tick.connection.engine
    done, waiting = [], 0
    for erasure in found:
        name = f"erasure {erasure.id}"
        try:
            problems = erasing.work(engine, tick.settings, erasure.id, now=tick.instant)
            if problems:
                raise erasing.ErasureWaitsError(" ".join(problems))
        except TimedOutError:
            raise
        except Exception as error:
            if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
                raise
            with tick.begin() as connection:
                tick.failures.failed_with(connection, name, error)
            continue
        with tick.begin() as connection:
            if rows.has_contents(connection, records.opened(tick.settings, erasure)):
                waiting += 1
            else:
                done.append(erasure)
    contact_ids = sorted({number for erasure in done for number in erasure.contact_ids})
    erased = erase_events(tick.connection, lake, contact_ids, tick.zone, now=tick.instant)
    done = [erasure for erasure in done if _exports_are_gone(tick, erasure)]
    tick.rows = erased.events
    tick.metadata |= {
        "erasures": len(done),
        "rewritten_files": erased.files,
        "erasures_with_fresh_contents": waiting,
    }
    with tick.begin(isolation="read committed") as connection:
        erasing.finish(
            connection,
            [erasure.id for erasure in done],
            tick=tick.instant,
            lake={"events": erased.events, "files": erased.files},
        )
        for erasure in done:
            tick.failures.succeeded(connection, f"erasure {erasure.id}")


def _keep_lifted(tick: Tick) -> None:
    """Writes the files of erasures anew whose persons began a new relationship since.

    A restore reads from them that the ways in accept these names again.
    """
    with tick.begin() as connection:
        changed = [
            (row.id, sorted(row.lifted), records.file_of(connection, row))
            for row in erasing.newly_lifted(connection)
        ]
    for erasure_id, lifted, content in changed:
        problems = records.write_file(tick.settings, erasure_id, content)
        with tick.begin() as connection:
            name = f"file of erasure {erasure_id}"
            if problems:
                error = erasing.ErasureWaitsError(" ".join(problems))
                tick.failures.failed_with(connection, name, error)
            else:
                erasing.note_lifted(connection, erasure_id, lifted)
                tick.failures.succeeded(connection, name)


def _exports_are_gone(tick: Tick, erasure: Any) -> bool:
    """Removes exports of events that were made before the events were erased."""
    try:
        exports.remove(tick.connection.engine, tick.settings, erasure, events_only=True)
    except StoreUnavailableError as error:
        with tick.begin() as connection:
            tick.failures.failed_with(connection, f"erasure {erasure.id}", error)
        return False
    return True
