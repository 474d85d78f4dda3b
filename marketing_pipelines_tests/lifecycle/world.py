"""Programs, contacts and events in a real database, moved by passes at chosen ticks."""

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains import load_tables, load_tasks
from marketing_pipelines.domains.journeys.entries import start_due
from marketing_pipelines.domains.lifecycle.engine import PassReport, StepPass
from marketing_pipelines.domains.lifecycle.program_kinds import declared
from marketing_pipelines.loading import LoadResult, load_file
from marketing_pipelines.runs.items import ItemFailures
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import Begin, create_engine

load_tables()
TABLES = {name: kind.table.fullname for name, kind in declared().items()}
Steps = Sequence[tuple[str, str, dict[str, Any]]]


def at(text: str) -> dt.datetime:
    """`03-02 10:05` of 2026 in UTC."""
    return dt.datetime.fromisoformat(f"2026-{text}").replace(tzinfo=dt.UTC)


@contextlib.contextmanager
def connected(engine: sa.Engine) -> Iterator[Begin]:
    """A connection, by what begins its transactions."""
    with engine.connect() as connection:

        @contextlib.contextmanager
        def begin() -> Iterator[sa.Connection]:
            with connection.begin():
                yield connection

        yield begin


def move(
    engine: sa.Engine,
    tick: dt.datetime,
    *,
    kind: str = "campaign",
    zone: str = "UTC",
    **options: Any,
) -> PassReport:
    """One pass over the programs of a kind; `options` are those of a pass."""
    with connected(engine) as begin:
        return StepPass(
            begin,
            declared()[kind],
            tick,
            ZoneInfo(zone),
            ItemFailures(declared()[kind].moved_by, tick),
            **{"extra_connection": partial(connected, engine)} | options,
        ).run()


@contextlib.contextmanager
def listening(engine: sa.Engine, listen: Callable[..., None]) -> Iterator[None]:
    """Has something done before each statement."""
    sa.event.listen(engine, "before_cursor_execute", listen)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", listen)


@dataclass
class ProgramWorld:
    """One organization and what is asked of it."""

    engine: sa.Engine
    zone: str = "UTC"
    name: str = "acme"
    organization_id: int = field(init=False)

    def __post_init__(self) -> None:
        load_tasks()
        self.organization_id = self.scalar(
            "insert into crm.organizations (external_id) values (:name) returning id",
            name=self.name,
        )

    def program(
        self,
        steps: Steps,
        *,
        kind: str = "campaign",
        name: str = "welcome",
        status: str = "active",
        started_at: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    ) -> int:
        """A program with steps of name, type and object, in this order; returns its number."""
        number: int = self.scalar(
            f"insert into {TABLES[kind]} (organization_id, external_id, status, started_at)"
            " values (:organization, :name, :status, :started_at) returning id",
            organization=self.organization_id,
            name=name,
            status=status,
            started_at=started_at,
        )
        for place, (step, step_type, config) in enumerate(steps):
            if step_type == "webhook" and "url" in config:
                self.endpoint(config["url"])
            self.execute(
                "insert into lifecycle.steps (organization_id, program_kind, program_id,"
                " external_id, position, type, config) values (:organization, :kind, :program,"
                " :step, :place, :type, cast(:config as jsonb))",
                organization=self.organization_id,
                kind=kind,
                program=number,
                step=step,
                place=(place + 1) * 10,
                type=step_type,
                config=json.dumps(config),
            )
        return number

    def endpoint(self, url: str) -> None:
        """A webhook endpoint with this URL, once."""
        self.execute(
            "insert into webhooks.endpoints (organization_id, url, event_types, secret, created_at)"
            " select :organization, :url, '{step.reached}', '', '2026-01-01Z'"
            " where not exists (select from webhooks.endpoints"
            " where organization_id = :organization and url = :url)",
            organization=self.organization_id,
            url=url,
        )

    def webhooks(self) -> dict[str, int]:
        """The number of deliveries of webhooks, by the step that writes them."""
        return dict(
            self.rows(
                "select data ->> 'step', count(*) from webhooks.deliveries"
                " join webhooks.endpoints on endpoints.id = endpoint_id"
                " where organization_id = :organization and type = 'step.reached' group by 1",
                organization=self.organization_id,
            )
        )

    def contacts(self, number: int, **columns: Any) -> list[int]:
        """Contacts c1, c2 and so on, with an address of each kind; returns their numbers.

        Args:
            columns: What all of them have besides, or instead.
        """
        given = {
            "phone": "'+4144' || lpad(n::text, 7, '0')",
            "attributes": "jsonb_build_object('push_token', 't' || n)",
        } | {
            name: f"cast(:{name} as jsonb)" if name == "attributes" else f":{name}"
            for name in columns
        }
        names = ", ".join(given)
        values = ", ".join(given.values())
        with self.engine.begin() as connection:
            rows = connection.execute(
                sa.text(
                    f"insert into crm.contacts (organization_id, external_id, email, {names})"
                    f" select :organization, 'c' || n, 'c' || n || '@example.org', {values}"
                    " from (select coalesce(max(id), 0) as before from crm.contacts) as known"
                    " cross join generate_series(before + 1, before + :number) as n order by n"
                    " returning id"
                ),
                {"organization": self.organization_id, "number": number, **columns},
            )
            return sorted(rows.scalars())

    def enrol(
        self,
        program: int,
        contacts: Sequence[int],
        entered_at: dt.datetime,
        *,
        kind: str = "campaign",
        rotation: int = 1,
    ) -> None:
        """Puts contacts into a program."""
        self.execute(
            "insert into lifecycle.enrolments (organization_id, program_kind, program_id,"
            " contact_id, rotation, entered_at) select :organization, :kind, :program, contact,"
            " :rotation, :entered_at from unnest(cast(:contacts as bigint[])) as contact",
            organization=self.organization_id,
            kind=kind,
            program=program,
            contacts=list(contacts),
            rotation=rotation,
            entered_at=entered_at,
        )

    def trigger(
        self,
        program: int,
        event_type: str,
        *,
        kind: str = "journey",
        policy: str = "once",
        created_at: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        where: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Events of a type let their contacts into a program."""
        self.execute(
            "insert into lifecycle.triggers (organization_id, program_kind, program_id,"
            " external_id, type, event_type, config, policy, created_at) values (:organization,"
            " :kind, :program, :event_type, 'event', :event_type, cast(:config as jsonb), :policy,"
            " :created_at)",
            organization=self.organization_id,
            kind=kind,
            program=program,
            event_type=event_type,
            config=json.dumps({"where": list(where)} if where else {}),
            policy=policy,
            created_at=created_at,
        )

    def start(self, tick: dt.datetime) -> None:
        """Lets in the contacts whom events and dates let in, as a pass begins."""
        start_due(
            self.engine.begin, tick, ZoneInfo(self.zone), ItemFailures("start", tick).attempts
        )

    def event(
        self,
        contacts: Sequence[int],
        event_type: str,
        occurred_at: dt.datetime,
        *,
        campaign: int | None = None,
        properties: dict[str, Any] | None = None,
        age: dt.timedelta = dt.timedelta(),
    ) -> list[str]:
        """An event of each contact, so old when it arrives; returns their ids."""
        statement = (
            "insert into analytics.contact_activity (organization_id, event_id, contact_id,"
            " event_type, source_type, source_id, occurred_at, received_at, inserted_at,"
            " properties)"
            " select :organization, 'e' || nextval('analytics.contact_activity_id_seq'), contact,"
            " :type, case when cast(:campaign as bigint) is not null then 'campaign' end,"
            " cast(:campaign as bigint), :at, :at, :inserted_at, cast(:properties as jsonb)"
            " from unnest(cast(:contacts as bigint[])) as contact returning event_id"
        )
        values = {
            "organization": self.organization_id,
            "type": event_type,
            "contacts": list(contacts),
            "campaign": campaign,
            "at": occurred_at,
            "inserted_at": occurred_at + age,
            "properties": json.dumps(properties) if properties is not None else None,
        }
        with self.engine.begin() as connection:
            return list(connection.execute(sa.text(statement), values).scalars())

    def move(self, tick: dt.datetime, *, kind: str = "campaign", **options: Any) -> PassReport:
        """One pass."""
        return move(self.engine, tick, kind=kind, zone=self.zone, **options)

    def standing(self, program: int, *, kind: str = "campaign") -> dict[str, int]:
        """The number of contacts at each step of a program, or that left it, by step or status."""
        return dict(
            self.rows(
                "select case when status = 'active' then coalesce(step.external_id, 'entrance')"
                " else status end, count(*) from lifecycle.enrolments as enrolment"
                " left join lifecycle.steps as step on step.id = step_id"
                " where enrolment.program_kind = :kind and enrolment.program_id = :program"
                " group by 1",
                kind=kind,
                program=program,
            )
        )

    def results(self, program: int, *, kind: str = "campaign") -> dict[tuple[str, str], int]:
        """The number of step results, by step and outcome."""
        return {
            (step, outcome): number
            for step, outcome, number in self.rows(
                "select step.external_id, outcome, count(*) from lifecycle.step_results"
                " join lifecycle.steps as step on step.id = step_id"
                " where step.program_kind = :kind and step.program_id = :program group by 1, 2",
                kind=kind,
                program=program,
            )
        }

    def messages(self) -> dict[str, int]:
        """The number of messages, by the step that sends them."""
        return dict(
            self.rows(
                "select step.external_id, count(*) from delivery.messages"
                " join lifecycle.steps as step on step.id = step_id"
                " where step.organization_id = :organization group by 1",
                organization=self.organization_id,
            )
        )

    def left(self, program: int, *, kind: str = "campaign") -> list[tuple[Any, ...]]:
        """Status, reason and number of those who are no longer under way."""
        return self.rows(
            "select status, reason, count(*) from lifecycle.enrolments"
            " where program_kind = :kind and program_id = :program and status <> 'active'"
            " group by 1, 2 order by 1, 2",
            kind=kind,
            program=program,
        )

    def next_at(self, program: int, *, kind: str = "campaign") -> list[str | None]:
        """The instant when each contact of a program is moved next, as `at` reads it."""
        rows = self.rows(
            "select to_char(next_step_at at time zone 'UTC', 'MM-DD HH24:MI')"
            " from lifecycle.enrolments where program_kind = :kind and program_id = :program"
            " order by id",
            kind=kind,
            program=program,
        )
        return [row[0] for row in rows]

    def change_step(
        self, program: int, step: str, *, kind: str = "campaign", **columns: Any
    ) -> None:
        """Changes columns of a step; `config` is given as an object."""
        if "config" in columns:
            columns["config"] = json.dumps(columns["config"])
        changes = ", ".join(
            "config = cast(:config as jsonb)" if name == "config" else f"{name} = :{name}"
            for name in columns
        )
        self.execute(
            f"update lifecycle.steps set {changes} where organization_id = :organization"
            " and program_kind = :kind and program_id = :program and external_id = :step",
            organization=self.organization_id,
            kind=kind,
            program=program,
            step=step,
            **columns,
        )

    def set_endings(self, program: int, *, kind: str = "campaign", **columns: Any) -> None:
        """Gives a program an exit or a goal, each an object or a list."""
        for name, value in columns.items():
            self.execute(
                f"update {TABLES[kind]} set {name} = cast(:value as jsonb) where id = :program",
                value=json.dumps(value) if value is not None else None,
                program=program,
            )

    def set_status(self, program: int, status: str, *, kind: str = "campaign") -> None:
        """Pauses, resumes or cancels a program."""
        self.execute(
            f"update {TABLES[kind]} set status = :status where id = :program",
            program=program,
            status=status,
        )

    def load(self, kind: str, path: Path) -> LoadResult:
        """Loads a file over connections of its own, since a load sets what memory they use."""
        engine = create_engine(self.engine.url)
        try:
            return load_file(engine, kind, path, settings=Settings())
        finally:
            engine.dispose()

    def retire(self) -> None:
        """Has no pass ever look at this organization's programs again."""
        for table in TABLES.values():
            self.execute(
                f"update {table} set status = 'paused' where organization_id = :organization",
                organization=self.organization_id,
            )
        self.execute(
            "delete from lifecycle.contact_changes where organization_id = :organization",
            organization=self.organization_id,
        )

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(statement), parameters)]

    def scalar(self, statement: str, **parameters: Any) -> Any:
        """The first value that a statement returns."""
        with self.engine.begin() as connection:
            return connection.execute(sa.text(statement), parameters).scalar_one()

    def execute(self, statement: str, **parameters: Any) -> None:
        """Changes something in one transaction."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), parameters)
