"""An organization with contacts and events, for tests of scores."""

import datetime as dt
import itertools
import json
from typing import Any

from marketing_pipelines_tests.installation import Installation

NOW = dt.datetime(2026, 3, 20, 2, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
INSTANT = dt.timedelta(microseconds=1)
numbers = itertools.count()


class LeadWorld:
    """A new organization of an installation."""

    def __init__(self, installation: Installation, zone: str | None = None) -> None:
        self.installation = installation
        self.name = f"leads-{next(numbers)}"
        installation.execute(
            "insert into crm.organizations (external_id, timezone) values (:name, :zone)",
            name=self.name,
            zone=zone,
        )
        [(self.organization,)] = installation.rows(
            "select id from crm.organizations where external_id = :name", name=self.name
        )

    def contact(self, name: str = "ann", **columns: Any) -> int:
        """Adds a contact; returns its number."""
        names = ["organization_id", "external_id", *columns]
        self.installation.execute(
            f"insert into crm.contacts ({', '.join(names)})"
            f" values ({', '.join(f':{one}' for one in names)})",
            organization_id=self.organization,
            external_id=name,
            **columns,
        )
        [(number,)] = self.rows(
            "select id from crm.contacts where organization_id = :own and external_id = :name",
            name=name,
        )
        return int(number)

    def event(self, contact: int, event_type: str, at: dt.datetime, properties: Any = None) -> str:
        """Adds an event; returns its id."""
        event_id = f"e{next(numbers)}"
        self.installation.execute(
            "insert into analytics.contact_activity (organization_id, event_id, contact_id,"
            " event_type, occurred_at, received_at, properties)"
            " values (:own, :event_id, :contact, :type, :at, :at, cast(:properties as jsonb))",
            own=self.organization,
            event_id=event_id,
            contact=contact,
            type=event_type,
            at=at,
            properties=json.dumps(properties),
        )
        return event_id

    def set(self, **settings: Any) -> None:
        """Stores settings as they are given, checked or not."""
        self.installation.execute(
            "update crm.organizations set settings = cast(:settings as jsonb) where id = :own",
            settings=json.dumps(settings),
            own=self.organization,
        )

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query with `:own`, the organization."""
        return self.installation.rows(statement, own=self.organization, **values)

    def execute(self, statement: str, **values: Any) -> None:
        """Runs a statement with `:own`, the organization."""
        self.installation.execute(statement, own=self.organization, **values)

    def contacts(self, columns: str) -> dict[str, Any]:
        """Columns of the contacts, by external id."""
        found = self.rows(
            f"select external_id, {columns} from crm.contacts where organization_id = :own"
        )
        return {row[0]: row[1:] if len(row) > 2 else row[1] for row in found}
