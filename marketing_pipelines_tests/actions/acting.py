"""An organization with routes, and the actions that are scheduled for it."""

import datetime as dt
import json
from typing import Any
from zoneinfo import ZoneInfo

from marketing_pipelines.domains import load_tasks
from marketing_pipelines.domains.actions.scheduling import Accepted, ActionOrder, schedule
from marketing_pipelines.queueing import dead_letters
from marketing_pipelines_tests.installation import Installation

JOB = "actions/scheduled_actions"
NOW = dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC)
HOUR, SECOND = dt.timedelta(hours=1), dt.timedelta(seconds=1)
UTC = ZoneInfo("UTC")


class Acting:
    """One organization, alone in its database."""

    def __init__(self, installation: Installation) -> None:
        load_tasks()
        self.installation = installation
        installation.execute(
            "insert into crm.organizations (external_id, timezone) values ('acme', 'Europe/Berlin')"
        )
        [(self.organization,)] = installation.rows("select id from crm.organizations")
        installation.execute(
            "insert into crm.users (organization_id, external_id, role)"
            " values (:own, 'ann', 'rep')",
            own=self.organization,
        )

    def route(self, type_: str, target: str, name: str, external_id: str = "r") -> None:
        """Adds a route."""
        self.installation.execute(
            "insert into actions.routes (organization_id, external_id, type, target, name)"
            " values (:own, :external_id, :type, :target, :name)",
            own=self.organization,
            external_id=external_id,
            type=type_,
            target=target,
            name=name,
        )

    def schedule(
        self, type_: str = "crm:remind", now: dt.datetime = NOW, **order: Any
    ) -> tuple[Accepted, bool]:
        """Schedules an action; a reminder of Ann unless it says otherwise."""
        order.setdefault("payload", {"user": "ann", "title": "Call"})
        with self.installation.engine.begin() as connection:
            return schedule(
                connection,
                ActionOrder(self.organization, type_, **order),
                now=now,
                reporting_zone=UTC,
            )

    def many(self, number: int, type_: str = "crm:remind", at: dt.datetime = NOW) -> None:
        """Adds as many actions, due one after the other within an hour before the instant."""
        self.installation.execute(
            "insert into actions.scheduled_actions (organization_id, type, payload, run_at,"
            " next_at, body_hash, created_at)"
            " select :own, :type, cast(:payload as jsonb), due_at, due_at, '', :at"
            " from (select cast(:at as timestamptz) - place * interval '1 hour' / :number as due_at"
            "       from generate_series(1, :number) as place) as due",
            own=self.organization,
            type=type_,
            payload=json.dumps({"user": "ann", "title": "Call"}),
            at=at,
            number=number,
        )

    def run(self, at: dt.datetime = NOW) -> Any:
        """Runs the job as of an instant."""
        [outcome] = self.installation.run(JOB, at=at)
        return outcome

    def redrive(self, number: int) -> None:
        """Sends a dead letter back to its queue."""
        with self.installation.engine.begin() as connection:
            dead_letters.redrive(connection, [number])

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.installation.rows(statement, **values)
