"""Contacts, deals, activities and events of one organization, for the jobs of leads."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains import load_tasks
from marketing_pipelines_tests.emptying import EMPTY
from marketing_pipelines_tests.installation import Installation, instant

TICK = instant("2026-03-10T02:00Z")
DAY, INSTANT = dt.timedelta(days=1), dt.timedelta(microseconds=1)
OLD = instant("2026-01-01T00:00Z")
TABLES = {
    "contacts": "crm.contacts",
    "deals": "crm.deals",
    "activities": "crm.activities",
    "sequences": "campaigns.sequences",
    "users": "crm.users",
    "score_rules": "leads.score_rules",
}


class Crm:
    """One organization, alone in its database."""

    def __init__(self, installation: Installation) -> None:
        load_tasks()
        self.installation = installation
        with installation.engine.begin() as connection:
            connection.exec_driver_sql(EMPTY)
        self.organization = self.insert("crm.organizations", external_id="acme")

    def score_by_points(self) -> None:
        """Score rules: the attribute `points` of 20 earns 40 points, of 40 earns 80 and so on."""
        for least in (20, 40):
            rule = {"attribute": "points", "op": ">=", "value": least}
            self.add("score_rules", f"from {least}", rule=rule, points=40)
        low = {"attribute": "points", "op": "between", "value": [1, 19]}
        self.add("score_rules", "low", rule=low, points=19)

    def insert(self, table: str, /, **columns: Any) -> int:
        """Inserts a row; returns its number."""
        values = {n: json.dumps(v) if isinstance(v, dict) else v for n, v in columns.items()}
        names, given = ", ".join(values), ", ".join(f":{name}" for name in values)
        with self.installation.engine.begin() as connection:
            number: int = connection.execute(
                sa.text(f"insert into {table} ({names}) values ({given}) returning id"), values
            ).scalar_one()
        return number

    def add(self, kind: str, name: str, /, **columns: Any) -> int:
        """Inserts a row of the organization; returns its number."""
        own = {"organization_id": self.organization, "external_id": name}
        return self.insert(TABLES[kind], **own | columns)

    def contact(self, name: str, stage: str | None = None, /, **columns: Any) -> int:
        """A contact that has been at its stage for long."""
        given: dict[str, Any] = {"created_at": OLD, "lifecycle_stage": stage}
        return self.add("contacts", name, **given | columns)

    def event(self, contact: int, type_: str, at: dt.datetime, **columns: Any) -> None:
        """An event of a contact."""
        number = len(self.rows("select 1 from analytics.contact_activity"))
        self.insert(
            "analytics.contact_activity",
            **{"organization_id": self.organization, "event_id": f"e{number}", "event_type": type_}
            | {"contact_id": contact, "occurred_at": at, "received_at": at}
            | columns,
        )

    def settings(self, **groups: Any) -> None:
        """Replaces the settings."""
        self.installation.execute(
            "update crm.organizations set settings = :settings where id = :own",
            settings=json.dumps(groups),
            own=self.organization,
        )

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.installation.rows(statement, **parameters)

    def run(self, job: str, at: dt.datetime = TICK) -> Any:
        """Runs a job for a tick; returns its outcome."""
        [outcome] = self.installation.run(job, at=at)
        return outcome

    def hash(self) -> str:
        """A hash of everything that the jobs of leads write."""
        return hashlib.sha256("\n".join(self._written()).encode()).hexdigest()

    def _written(self) -> Iterator[str]:
        for statement in (
            "select external_id, lifecycle_stage, lifecycle_stage_at, lead_status, lead_status_at"
            " from crm.contacts order by 1",
            'select contact_id, "from", "to", at, tick, reason from leads.lifecycle_history'
            " order by id",
            "select contact_id, tick, previous_status, signal_event from leads.lead_recycling"
            " order by id",
            "select contact_id, title, due_at, period, created_at from crm.tasks order by id",
            "select user_id, title, text, period, created_at from crm.notifications order by id",
            "select type, contact_id, payload - 'task' from ops.bus_events order by id",
            "select contact_id, rotation, entered_at from lifecycle.enrolments order by id",
        ):
            yield from map(str, self.rows(statement))
