"""Erases persons, step by step; each step is resumed from the row of the erasure.

1. `begin` commits the row of the ledger: from now on every way in refuses the person.
2. `work` writes the row's file, erases rows in one transaction, then files; each store is tried.
3. The nightly job does `work` again, for what came in meanwhile, erases the events of all persons
   in one pass, and calls `finish`: only then are the encrypted names of the row forgotten.
"""

import contextlib
import datetime as dt
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.analytics import warehouse
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.upkeep.erasing import exports, files, proof, records, rows
from marketing_pipelines.domains.upkeep.erasing.tables import erasures
from marketing_pipelines.failures import (
    BadInputError,
    ConfigurationError,
    MarketingPipelinesError,
    StoreUnavailableError,
    UpstreamNotReadyError,
)
from marketing_pipelines.freshness.writer_barrier import wait_for_writers
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import ledger as ledgers
from marketing_pipelines.stores import locks, persons
from marketing_pipelines.stores.backups import kept_backups
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.lake import Lake
from marketing_pipelines.stores.persons import Identity

WAREHOUSE = "analytics/warehouse"
# Other statements may hold rows in another order.
ATTEMPTS = 6
_CONFLICTS = ("40001", "40P01")
_WAYS_IN = (
    "crm.contacts",
    "analytics.contact_activity",
    "delivery.message_events",
    "forms.submissions",
    "inbox.email_messages",
)
PATIENCE = dt.timedelta(seconds=30)


class ErasureWaitsError(MarketingPipelinesError):
    """A store does not answer; the erasure goes on at the next tick."""


def begin(
    engine: sa.Engine, settings: Settings, person: Identity, *, now: dt.datetime
) -> uuid.UUID:
    """Commits the row of an erasure, or finds the one that goes on; returns its id."""
    with engine.begin() as connection:
        ledger = ledgers.begin_ledger(connection, settings)
        erasure_id = records.add(connection, settings, ledger, person, now=now)
    # Batches that asked the ledger before the row was there.
    with engine.connect() as connection, contextlib.suppress(UpstreamNotReadyError):
        end = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        connection.rollback()
        wait_for_writers(connection, _WAYS_IN, end, patience=PATIENCE)
    return erasure_id


def work(
    engine: sa.Engine, settings: Settings, erasure_id: uuid.UUID, *, now: dt.datetime
) -> list[str]:
    """Erases rows and files of a person; done again, it finds only what came since.

    Returns:
        Sentences on stores that do not answer; the nightly job tries them again.
    """
    problems: list[str] = []
    with engine.connect() as connection:
        row = _row(connection, erasure_id)
        content = records.file_of(connection, row)
    if row.lake_done_at is not None:
        return problems
    if row.tables_done_at is None:
        problems += records.write_file(settings, erasure_id, content)
    person = erase_rows(engine, settings, erasure_id, now=now)
    done = files.remove_files(engine, settings, person)
    with engine.connect() as connection:
        row = _row(connection, erasure_id)
        content = records.file_of(connection, row)
    # The rows may have told more names than they did when it began.
    problems += records.write_file(settings, erasure_id, content)
    backups = dict(row.proof.get("backups", {}))
    with _noted(problems):
        backups = {one.id: one.expires_at.isoformat() for one in kept_backups(settings, now)}
    with _noted(problems):
        done["raw mails and exports"] += files.remove_stored(
            settings, row.proof.get("raw_files", ())
        )
    with _noted(problems):
        done["exports"] += exports.remove(
            engine, settings, row, events_only="exports_removed" in row.proof
        )
        with engine.begin() as connection:
            _note(connection, erasure_id, {"exports_removed": True})
    problems = list(dict.fromkeys(problems))
    with engine.begin() as connection:
        counted = dict(_row(connection, erasure_id, lock=True).proof.get("files", {}))
        for kind, number in done.items():
            counted[kind] = counted.get(kind, 0) + number
        _note(
            connection,
            erasure_id,
            {"files": counted, "problems": problems, "backups": backups},
        )
    _publish_warehouse(engine, settings)
    return problems


def proof_of(engine: sa.Engine, erasure_id: uuid.UUID) -> list[str]:
    """The sentences of the proof, as it stands.

    Raises:
        BadInputError: there is no such erasure.
    """
    with engine.connect() as connection:
        row = connection.execute(
            sa.select(erasures).where(erasures.c.id == erasure_id)
        ).one_or_none()
    if row is None:
        raise BadInputError(
            f"There is no erasure {erasure_id}: `marketing-pipelines privacy proof` lists them."
        )
    return list(proof.sentences(row))


def listed(connection: sa.Connection, limit: int) -> list[Any]:
    """The erasures, newest first: id, organization, contacts, and the instants of their steps."""
    query = (
        sa.select(
            erasures.c.id,
            organizations.c.external_id,
            sa.func.cardinality(erasures.c.contact_ids),
            erasures.c.requested_at,
            erasures.c.tables_done_at,
            erasures.c.lake_done_at,
        )
        .join(organizations, organizations.c.id == erasures.c.organization_id)
        .order_by(erasures.c.requested_at.desc(), erasures.c.id)
        .limit(limit)
    )
    return list(connection.execute(query))


def pending(connection: sa.Connection) -> list[Any]:
    """The erasures that are not done, oldest first."""
    query = sa.select(erasures).where(erasures.c.lake_done_at.is_(None))
    return list(connection.execute(query.order_by(erasures.c.requested_at)))


def newly_lifted(connection: sa.Connection) -> list[Any]:
    """The erasures with lifted names that their files do not have."""
    in_file = sa.func.coalesce(erasures.c.proof["lifted"], sa.literal([], erasures.c.proof.type))
    query = sa.select(erasures).where(
        erasures.c.lifted != sa.text("'{}'"),
        sa.func.to_jsonb(erasures.c.lifted) != in_file,
    )
    return list(connection.execute(query.order_by(erasures.c.requested_at)))


def note_lifted(connection: sa.Connection, erasure_id: uuid.UUID, lifted: Sequence[str]) -> None:
    """Notes the lifted names that the file of an erasure has."""
    _note(connection, erasure_id, {"lifted": list(lifted)})


def finish(
    connection: sa.Connection,
    erasure_ids: Sequence[uuid.UUID],
    *,
    tick: dt.datetime,
    lake: Mapping[str, int],
) -> None:
    """Notes that the events are erased, and forgets the names."""
    connection.execute(
        sa.update(erasures)
        .where(erasures.c.id.in_(erasure_ids), erasures.c.lake_done_at.is_(None))
        .values(
            lake_done_at=tick,
            names=None,
            proof=erasures.c.proof.op("-")("raw_files").op("||")(
                sa.literal({"lake": dict(lake)}, erasures.c.proof.type)
            ),
        )
    )


def erase_rows(
    engine: sa.Engine, settings: Settings, erasure_id: uuid.UUID, *, now: dt.datetime
) -> Identity:
    """Erases the rows in one transaction, again if another one was in its way."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with engine.begin() as connection:
                return _erase_rows_once(connection, settings, erasure_id, now=now)
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _CONFLICTS or attempt == ATTEMPTS:
                raise
            time.sleep(0.05 * 2**attempt)
    raise AssertionError("the loop returns or raises")


def _erase_rows_once(
    connection: sa.Connection, settings: Settings, erasure_id: uuid.UUID, *, now: dt.datetime
) -> Identity:
    row = _row(connection, erasure_id, lock=True)
    ledger = ledgers.begin_ledger(connection, settings)
    connection.execute(_LOCK_CONTACTS, {"contact_ids": row.contact_ids})
    person = records.opened(settings, row)
    if row.tables_done_at is None:
        # The names may have changed since they were asked for.
        person = _joined(
            person, persons.identity_of(connection, row.organization_id, row.contact_ids)
        )
    else:
        person = records.without_lifted(connection, ledger, person, row.lifted)
    before = rows.count_rows(connection, person)
    raw_files = rows.erase_rows(connection, person, ledger, now=now)
    if row.lifted:
        ledgers.lift_suppressions(connection, row.organization_id, row.lifted)
    hashes = sorted({*row.hashes, *records.hashes_of(connection, ledger, person)})
    connection.execute(
        sa.update(erasures)
        .where(erasures.c.id == erasure_id)
        .values(
            hashes=hashes,
            names=records.sealed(settings, person),
            tables_done_at=sa.func.coalesce(erasures.c.tables_done_at, now),
        )
    )
    numbers: dict[str, Any] = {"raw_files": sorted({*row.proof.get("raw_files", ()), *raw_files})}
    if row.tables_done_at is None:
        anonymous = Identity(row.organization_id, row.contact_ids)
        after = rows.count_rows(connection, anonymous)
        numbers["rows"] = {name: [number, after.get(name, 0)] for name, number in before.items()}
        numbers["shared_addresses"] = len(person.shared)
    _note(connection, erasure_id, numbers)
    return person


def _joined(one: Identity, other: Identity) -> Identity:
    """The names of both; an address that somebody else has by now is not among them."""
    shared = set(other.shared)

    def both(name: str) -> list[str]:
        return sorted({*getattr(one, name), *getattr(other, name)} - shared)

    return replace(
        other,
        external_ids=both("external_ids"),
        by_channel={
            channel: sorted(
                {*one.by_channel.get(channel, ()), *other.by_channel.get(channel, ())} - shared
            )
            for channel in {**one.by_channel, **other.by_channel}
        },
        names=both("names"),
        spellings=both("spellings"),
    )


def _row(connection: sa.Connection, erasure_id: uuid.UUID, *, lock: bool = False) -> Any:
    query = sa.select(erasures).where(erasures.c.id == erasure_id)
    return connection.execute(query.with_for_update() if lock else query).one()


def _note(connection: sa.Connection, erasure_id: uuid.UUID, numbers: Mapping[str, Any]) -> None:
    """Adds numbers to the proof."""
    connection.execute(
        sa.update(erasures)
        .where(erasures.c.id == erasure_id)
        .values(proof=erasures.c.proof.op("||")(sa.literal(dict(numbers), erasures.c.proof.type)))
    )


def _publish_warehouse(engine: sa.Engine, settings: Settings) -> None:
    """Makes `warehouse.duckdb` again, if there is one, under the lock of its job."""
    files = FileStore.of_warehouse(settings)
    if files.size(warehouse.PATH) is None:
        return
    with engine.connect() as connection, _locked(connection, WAREHOUSE), connection.begin():
        connection.exec_driver_sql("set transaction isolation level repeatable read")
        warehouse.publish(connection, files, Lake(settings.effective_lake_url))


@contextlib.contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    """Adds the sentence of a store that fails: the steps at other stores are done all the same."""
    try:
        yield
    except (StoreUnavailableError, BadInputError, ConfigurationError) as error:
        problems.append(str(error))


@contextlib.contextmanager
def _locked(connection: sa.Connection, job: str) -> Iterator[None]:
    locks.lock_all(connection, job, [locks.WHOLE_JOB])
    connection.commit()
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.rollback()
            locks.unlock_all(connection, job, [locks.WHOLE_JOB])
            connection.commit()


_LOCK_CONTACTS = sa.text(
    "select id from crm.contacts where id = any(:contact_ids) order by id for update"
)
