"""Stores checked events: a batch's names become numbers here and ids in PostgreSQL.

Long external ids repeat in every event; they cross to PostgreSQL once a batch, in a list, so that
each is looked up once and the events carry small numbers.
"""

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from marketing_pipelines.loading.checker import read_sql
from marketing_pipelines.loading.erased import refuse_events
from marketing_pipelines.loading.results import Counts, Reject
from marketing_pipelines.loading.stubs import Stubs
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import copy_arrow

if TYPE_CHECKING:
    import pyarrow as pa

_TABLES = ("events", "corrections", "organizations", "contacts", "contact_ids", "campaigns")
_SEPARATOR = "\x1f"


class EventStore:
    """Writes batches on one connection.

    Args:
        restore_consent: True: an event of an erased person is a new relationship.
    """

    def __init__(self, settings: Settings, *, restore_consent: bool) -> None:
        self._settings = settings
        self._restore_consent = restore_consent

    def write(self, connection: sa.Connection, batch: "pa.Table") -> tuple[Counts, list[Reject]]:
        """Stores checked events: the stubs they need first, then all of them in one transaction.

        The stubs are committed before, so that two writers never wait for each other's events.
        """
        with connection.begin():
            stubs, refused = self._stage(connection, batch)
        with connection.begin():
            aside = connection.exec_driver_sql(read_sql("events/set_repeats_aside"))
            repeats, corrections = aside.one()
            connection.exec_driver_sql(read_sql("events/add_events"))
            if corrections:
                connection.exec_driver_sql(read_sql("events/take_corrections"))
                connection.exec_driver_sql(read_sql("events/add_events"))
        loaded = batch.num_rows - repeats - len(refused)
        counts = Counts(loaded, corrections, repeats - corrections, stubs.numbers, stubs.names)
        return counts, refused

    def _stage(self, connection: sa.Connection, batch: "pa.Table") -> tuple[Stubs, list[Reject]]:
        """Fills the temporary tables; makes and finds the rows that the events name."""
        for table in _TABLES:
            connection.exec_driver_sql(read_sql(f"events/create_{table}"))
        connection.exec_driver_sql(read_sql("events/empty_stage"))
        for table, rows in number_names(batch).items():
            copy_arrow(connection, table, rows.to_reader())
        for table in ("loaded_events", "event_contacts"):
            connection.exec_driver_sql(f"analyze {table}")

        def do(step: str) -> sa.CursorResult[Any]:
            return connection.exec_driver_sql(read_sql(f"events/{step}"))

        stubs = Stubs()
        stubs.add("organizations", do("add_organizations"))
        do("find_organizations")
        refused = refuse_events(connection, self._settings, restore_consent=self._restore_consent)
        stubs.add("campaigns", do("add_campaigns"))
        do("find_campaigns")
        stubs.add("contacts", do("find_contacts"))
        do("find_contacts_again")
        connection.exec_driver_sql("analyze event_contact_ids")
        return stubs, refused


def number_names(batch: "pa.Table") -> dict[str, "pa.Table"]:
    """The temporary tables' rows by table name."""
    import pyarrow as pa

    organization, organizations = _number(batch["organization_id"])
    contact, contacts = _number_within(organization, batch["contact_id"])
    campaign, campaigns = _number_within(organization, batch["event_source"])
    events = pa.table(
        {
            "line": batch["line"],
            "event_id": batch["event_id"],
            "organization": organization,
            "contact": contact,
            "campaign": campaign,
            "event_type": batch["event_type"],
            "occurred_at": _clock_time(batch["occurred_at"]),
            "received_at": _clock_time(batch["received_at"]),
            "properties": batch["properties"],
            "extras": batch["extras"],
        }
    )
    numbers = pa.array(range(len(organizations)), pa.int32())
    return {
        "loaded_events": events,
        "event_organizations": pa.table({"number": numbers, "external_id": organizations}),
        "event_contacts": contacts,
        "event_campaigns": campaigns,
    }


def _number(names: "pa.ChunkedArray") -> tuple["pa.Array", "pa.Array"]:
    """A number for each distinct name (null stays null), and the names in the numbers' order."""
    encoded = names.combine_chunks().dictionary_encode()
    return encoded.indices, encoded.dictionary


def _number_within(
    organization: "pa.Array", names: "pa.ChunkedArray"
) -> tuple["pa.Array", "pa.Table"]:
    """A number for each distinct name of an organization, and the list of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    qualified = pc.binary_join_element_wise(
        organization.cast(pa.string()), names.combine_chunks(), _SEPARATOR
    )
    encoded = qualified.dictionary_encode()
    parts = pc.split_pattern(encoded.dictionary, _SEPARATOR, max_splits=1)
    listed = pa.table(
        {
            "number": pa.array(range(len(parts)), pa.int32()),
            "organization": pc.list_element(parts, 0).cast(pa.int32()),
            "external_id": pc.list_element(parts, 1),
        }
    )
    return encoded.indices, listed


def _clock_time(instants: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """The same instants as UTC local times, which Arrow writes ten times faster as text."""
    import pyarrow as pa

    return instants.cast(pa.timestamp("us"))
