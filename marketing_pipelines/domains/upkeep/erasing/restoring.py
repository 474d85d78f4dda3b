"""Erases in a restored database the persons that were erased after its backup.

Their names are in the stores as keyed hashes only: the hashes of all external ids of the
organization are compared with them.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.upkeep.erasing import erasing, records
from marketing_pipelines.domains.upkeep.erasing.tables import erasures
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import ledger as ledgers
from marketing_pipelines.stores import persons
from marketing_pipelines.stores.persons import Identity


def apply_erasures(
    engine: sa.Engine, settings: Settings, *, now: dt.datetime, rows_only: bool = False
) -> int:
    """Erases persons whose erasures are in the stores and not in the database.

    The events of a restored lake follow in the next pass of `upkeep/erasures`.

    Args:
        rows_only: True: no file is touched, for a database that is only looked at.

    Returns:
        Number of the erasures.

    Raises:
        ConfigurationError: no secret key opens the key of the hashes.
        StoreUnavailableError: a store cannot be read.
    """
    number = 0
    for read in records.read_files(settings):
        with engine.begin() as connection:
            erasure_id = _add(connection, settings, read)
        if erasure_id is None:
            continue
        number += 1
        if rows_only:
            erasing.erase_rows(engine, settings, erasure_id, now=now)
        else:
            erasing.work(engine, settings, erasure_id, now=now)
    return number


def _add(
    connection: sa.Connection, settings: Settings, read: Mapping[str, Any]
) -> uuid.UUID | None:
    """Adds the row of an erasure; None: there is nothing to erase.

    That is so where the rows are erased already, or the organization came after the backup.
    """
    erasure_id = uuid.UUID(read["id"])
    known = connection.execute(
        sa.select(erasures.c.tables_done_at).where(erasures.c.id == erasure_id)
    ).one_or_none()
    if known is not None:
        return None if known.tables_done_at is not None else erasure_id
    organization_id = read["organization_id"]
    is_there = connection.execute(
        sa.text("select from crm.organizations where id = :organization"),
        {"organization": organization_id},
    ).first()
    if is_there is None:
        return None
    ledgers.adopt_key(connection, read["erasure_key"])
    found = connection.execute(
        _CONTACTS,
        {
            **ledgers.ledger_of(settings, read["erasure_key"]).blocks,
            "organization": organization_id,
            "hashes": read["hashes"],
        },
    )
    ids = list(found.scalars())
    person = (
        persons.identity_of(connection, organization_id, ids)
        if ids
        else Identity(organization_id, [])
    )
    ledger = ledgers.begin_ledger(connection, settings)
    own = records.hashes_of(connection, ledger, person)
    connection.execute(
        sa.insert(erasures).values(
            id=erasure_id,
            organization_id=organization_id,
            contact_ids=ids,
            hashes=sorted({*read["hashes"], *own}),
            names=records.sealed(settings, person),
            requested_at=dt.datetime.fromisoformat(read["requested_at"]),
        )
    )
    return erasure_id


_CONTACTS = sa.text(
    "select id from crm.contacts where organization_id = :organization"
    " and ops.erasure_hash("
    ":inner_block, :outer_block, organization_id, 'external_id', external_id) = any(:hashes)"
    " order by id"
)
