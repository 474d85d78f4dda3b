"""Erases in a restored database the persons that were erased after its backup.

Their names are in the stores as keyed hashes only: the hashes of all external ids of the
organization are compared with them. An erasure that fails stops no other.
"""

import dataclasses
import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from marketing_pipelines.domains.upkeep.erasing import erasing, records
from marketing_pipelines.domains.upkeep.erasing.records import ErasureFile
from marketing_pipelines.domains.upkeep.erasing.tables import erasures
from marketing_pipelines.failures import ConfigurationError, MarketingPipelinesError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import ledger as ledgers
from marketing_pipelines.stores import persons
from marketing_pipelines.stores.persons import Identity


@dataclass
class Replayed:
    """The erasures that a restored database did not know.

    Attributes:
        erased: Those whose rows are erased.
        failed: A sentence on each of the others.
    """

    erased: list[uuid.UUID] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def require_ledger_key(settings: Settings) -> None:
    """Refuses secret keys that open the key of the hashes of no erased person.

    Raises:
        ConfigurationError: they do not.
        StoreUnavailableError: a store cannot be read.
    """
    refusal: ConfigurationError | None = None
    for read in records.read_files(settings)[0]:
        try:
            ledgers.ledger_of(settings, read.erasure_key)
            return
        except ConfigurationError as error:
            refusal = error
    if refusal is not None:
        raise refusal


def apply_erasures(engine: sa.Engine, settings: Settings, *, now: dt.datetime) -> Replayed:
    """Erases the rows of persons whose erasures are in the stores and not in the database.

    Files follow by `erase_files`, events in the next pass of `upkeep/erasures`.

    Raises:
        StoreUnavailableError: a store cannot be read.
    """
    read_files, damaged = records.read_files(settings)
    done = Replayed(failed=damaged)
    for read in read_files:

        def erase(read: ErasureFile = read) -> None:
            with engine.begin() as connection:
                is_new = _add(connection, settings, read)
            if is_new:
                erasing.erase_rows(engine, settings, read.id, now=now)
                done.erased.append(read.id)

        done.failed += _failure_of(read.id, erase)
    return done


def erase_files(
    engine: sa.Engine, settings: Settings, erasure_ids: Sequence[uuid.UUID], *, now: dt.datetime
) -> tuple[list[str], list[str]]:
    """Erases the files of persons whose rows `apply_erasures` has erased.

    Returns:
        Sentences on erasures that failed, and on stores that do not answer, which the nightly job
        tries again.
    """
    failed: list[str] = []
    waiting: list[str] = []
    for erasure_id in erasure_ids:

        def erase(erasure_id: uuid.UUID = erasure_id) -> None:
            waiting.extend(erasing.work(engine, settings, erasure_id, now=now))

        failed += _failure_of(erasure_id, erase)
    return failed, list(dict.fromkeys(waiting))


def _failure_of(erasure_id: uuid.UUID, erase: Callable[[], None]) -> list[str]:
    """Does an erasure; returns the sentence of its failure, if it fails.

    Raises:
        OperationalError: the server does not answer, which is no failure of the erasure.
    """
    try:
        erase()
    except sa.exc.OperationalError:
        raise
    except Exception as error:
        said = str(error) if isinstance(error, MarketingPipelinesError) else type(error).__name__
        return [f"erasure {erasure_id}: {said}"]
    return []


def _add(connection: sa.Connection, settings: Settings, read: ErasureFile) -> bool:
    """Adds the row of an erasure; False: there is nothing to erase.

    That is so where the rows are erased already, or the organization came after the backup.
    """
    known = connection.execute(
        sa.select(erasures.c.tables_done_at, erasures.c.lifted)
        .where(erasures.c.id == read.id)
        .with_for_update()
    ).one_or_none()
    if known is not None:
        _lift(connection, read, known.lifted)
        return known.tables_done_at is None
    is_there = connection.execute(
        sa.text("select from crm.organizations where id = :organization"),
        {"organization": read.organization_id},
    ).first()
    if is_there is None:
        return False
    ledgers.adopt_key(connection, read.erasure_key)
    blocks = ledgers.ledger_of(settings, read.erasure_key).blocks
    bound = {**blocks, "organization": read.organization_id, "hashes": read.hashes}
    ids = list(connection.execute(_CONTACTS, bound).scalars())
    person = (
        persons.identity_of(connection, read.organization_id, ids)
        if ids
        else Identity(read.organization_id, [])
    )
    person = _with_names_in_rows(connection, blocks, read, person)
    ledger = ledgers.begin_ledger(connection, settings)
    own = records.hashes_of(connection, ledger, person)
    connection.execute(
        sa.insert(erasures).values(
            id=read.id,
            organization_id=read.organization_id,
            contact_ids=ids,
            hashes=sorted({*read.hashes, *own}),
            lifted=read.lifted,
            names=records.sealed(settings, person),
            requested_at=read.requested_at,
        )
    )
    return True


def _lift(connection: sa.Connection, read: ErasureFile, known: Sequence[str]) -> None:
    """Allows the names of a relationship that began between the backup and its restore."""
    if set(read.lifted) <= set(known):
        return
    connection.execute(
        sa.update(erasures)
        .where(erasures.c.id == read.id)
        .values(lifted=sorted({*known, *read.lifted}))
    )
    ledgers.lift_suppressions(connection, read.organization_id, read.lifted)


def _with_names_in_rows(
    connection: sa.Connection,
    blocks: Mapping[str, bytes | None],
    read: ErasureFile,
    person: Identity,
) -> Identity:
    """The person with the names that stand in rows without its contact, such as those of mail.

    The contact may have come after the backup. An address that another contact has stays theirs.
    """
    external_ids = set(person.external_ids)
    by_channel = {channel: set(some) for channel, some in person.by_channel.items()}
    spellings = set(person.spellings)
    found = persons.names_in_rows(connection, blocks, read.organization_id, read.hashes)
    for kind, name, given in (one for some in found.values() for one in some):
        if kind == "external_id":
            external_ids.add(name)
            continue
        other = persons.find_address(connection, read.organization_id, name)
        if other is None or set(other.contact_ids) <= set(person.contact_ids):
            by_channel.setdefault(kind, set()).add(name)
            spellings.add(given)
    return dataclasses.replace(
        person,
        external_ids=sorted(external_ids),
        by_channel={channel: sorted(some) for channel, some in by_channel.items()},
        spellings=sorted(spellings),
    )


_CONTACTS = sa.text(
    "select id from crm.contacts where organization_id = :organization"
    " and ops.erasure_hash("
    ":inner_block, :outer_block, organization_id, 'external_id', external_id) = any(:hashes)"
    " order by id"
)
