"""Rehearses a program: its next days with some of its contacts, in a database of its own."""

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from marketing_pipelines.domains.crm.names import find_contact
from marketing_pipelines.domains.lifecycle.checking import problems_of
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind
from marketing_pipelines.domains.lifecycle.programs import Program, find_program
from marketing_pipelines.domains.rehearsals import outcome
from marketing_pipelines.domains.rehearsals.assumed_events import AssumedEvents
from marketing_pipelines.domains.rehearsals.copying import copy_rows
from marketing_pipelines.domains.rehearsals.outcome import Rehearsal
from marketing_pipelines.domains.rehearsals.running import PASS, Run, rounded_up
from marketing_pipelines.domains.rehearsals.scratch import scratch_database
from marketing_pipelines.domains.rehearsals.statements import read_sql
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.settings import Settings

CONTACTS, DAYS = 1_000, 30
MOST_CONTACTS, MOST_DAYS = 100_000, 400
# Given the share of the days that is worked, 0 to 1.
ShareDone = Callable[[float], None]


@dataclass(frozen=True)
class Order:
    """A program, contacts and days to be rehearsed.

    Attributes:
        name: External id of the program, or its number.
        contacts: Most contacts; the first by number of those that would enter.
        contact: Only this one, by external id or number.
        starts_at: The program is rehearsed from the first tick at or after it.
        events: File of the events that contacts are assumed to send; kind `events`.
    """

    kind: ProgramKind
    name: str
    organization_id: int
    starts_at: dt.datetime
    days: int = DAYS
    contacts: int = CONTACTS
    contact: str | None = None
    events: Path | None = None


def rehearse(
    engine: sa.Engine,
    settings: Settings,
    order: Order,
    on_progress: ShareDone = lambda _: None,
) -> Rehearsal:
    """Runs a program through its next days; the installation's rows stay as they are.

    Args:
        engine: To the installation.

    Raises:
        BadInputError: there is no such program, contact or file, or nobody would enter.
        ConfigurationError: the role may not create databases.
    """
    _require_within(order)
    began = time.monotonic()
    with _reading(engine) as source:
        program, status = find_program(source, order.organization_id, order.kind, order.name)
        contacts = _contacts(source, program, order)
        problems = list(problems_of(source, order.kind, [program]))
    with scratch_database(settings) as scratch, scratch.connect() as connection:
        with connection.begin():
            # A crash of the server ends the rehearsal anyway.
            connection.exec_driver_sql("set synchronous_commit = off")
        with _reading(engine) as source, connection.begin():
            copy_rows(source, connection, program, contacts)
        starts_at = rounded_up(order.starts_at, PASS)
        ends_at = starts_at + dt.timedelta(days=order.days)
        _activate(connection, program, starts_at)
        events = AssumedEvents(connection)
        notes: list[str] = []
        if order.events is not None:
            loaded = events.load(order.events, settings)
            if loaded.rejected:
                notes.append(
                    f"{loaded.rejected:,} rows of {order.events.name} are left out and stand in "
                    f"{loaded.rejects}."
                )
            notes += loaded.notes
        run = Run(connection, program, settings.zone, starts_at, ends_at, events)
        for instant in run.instants_worked():
            on_progress((instant - starts_at) / (ends_at - starts_at))
        return outcome.read(
            connection,
            run,
            status=status,
            contacts=len(contacts),
            problems=problems,
            notes=notes,
            seconds=time.monotonic() - began,
        )


@contextlib.contextmanager
def _reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that sees one instant and cannot write."""
    with engine.connect() as connection:
        reading = connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        with reading.begin():
            yield reading


def _require_within(order: Order) -> None:
    for option, given, most in (
        ("--contacts", order.contacts, MOST_CONTACTS),
        ("--days", order.days, MOST_DAYS),
    ):
        if not 1 <= given <= most:
            raise BadInputError(f"{option} {given:,}: give 1 to {most:,}.")


def _contacts(source: sa.Connection, program: Program, order: Order) -> list[int]:
    if order.contact is not None:
        _, number = find_contact(source, order.contact, program.organization)
        return [number]
    values = {
        "kind": program.kind.name,
        "program": program.id,
        "organization": program.organization_id,
        "most": order.contacts,
    }
    found = list(source.execute(read_sql("choose_contacts"), values).scalars())
    if not found:
        raise BadInputError(
            f"Nobody would enter {program.name}: it has no enrolled contact and no enabled trigger."
        )
    return found


def _activate(connection: sa.Connection, program: Program, at: dt.datetime) -> None:
    """Makes the copy of the program active; a scheduled one starts at its time."""
    table = program.kind.table
    triggers = f"alter table {table.fullname} {{}} trigger user"
    scheduled = sa.and_(table.c.status == "scheduled", table.c.started_at > at)
    others = sa.and_(table.c.id != program.id, table.c.status == "active")
    with connection.begin():
        connection.exec_driver_sql(triggers.format("disable"))
        connection.execute(sa.update(table).where(others).values(status="paused"))
        connection.execute(
            sa.update(table)
            .where(table.c.id == program.id, table.c.status != "active", sa.not_(scheduled))
            .values(
                status="active",
                started_at=sa.func.least(table.c.started_at, at),
                resumed_at=sa.func.least(table.c.resumed_at, at),
            )
        )
        connection.exec_driver_sql(triggers.format("enable"))
