"""Erases a contact of an installation, as `privacy erase` does."""

import datetime as dt
import uuid

import sqlalchemy as sa

from marketing_pipelines.domains.crm.names import find_contact
from marketing_pipelines.domains.upkeep.erasing import erasing
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import persons

AT = dt.datetime(2026, 3, 1, 8, tzinfo=dt.UTC)


def erase(
    engine: sa.Engine, settings: Settings, organization: str, contact: str, at: dt.datetime = AT
) -> uuid.UUID:
    """Erases the rows and files of a contact; its events wait for the job."""
    with engine.connect() as connection:
        number, contact_id = find_contact(connection, contact, organization)
        person = persons.identity_of(connection, number, [contact_id])
    erasure_id = erasing.begin(engine, settings, person, now=at)
    assert erasing.work(engine, settings, erasure_id, now=at) == []
    return erasure_id
