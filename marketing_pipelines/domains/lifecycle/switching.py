"""Programs are activated, paused, resumed and cancelled by hand."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.named_templates.catalog import Outgoing
from marketing_pipelines.domains.lifecycle import plan
from marketing_pipelines.domains.lifecycle.checking import problems_of
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind
from marketing_pipelines.domains.lifecycle.programs import Program, find_program, read_sql
from marketing_pipelines.domains.lifecycle.step_messages import messages_of
from marketing_pipelines.domains.lifecycle.steps import CHANNELS
from marketing_pipelines.failures import BadInputError


@dataclass(frozen=True)
class Switch:
    """A change of status.

    Attributes:
        status: The status that it leads to.
        since: The statuses from which it leads there.
    """

    status: str
    since: tuple[str, ...]


SWITCHES: Mapping[str, Switch] = MappingProxyType(
    {
        "activate": Switch("active", ("draft", "scheduled", "imported", "completed", "cancelled")),
        "pause": Switch("paused", ("active",)),
        "resume": Switch("active", ("paused",)),
        "cancel": Switch("cancelled", ("draft", "scheduled", "active", "paused")),
    }
)


@dataclass(frozen=True)
class Switched:
    """A program after a switch.

    Attributes:
        has_changed: False: it had this status already.
        enrolled: Contacts under way in it.
        has_steps: False: nothing moves them.
        audience: By channel of its steps: how many contacts are enrolled, suppressed and
            without address.
        mails: The marketing mails of its steps, in their order.
    """

    program: Program
    status: str
    has_changed: bool
    enrolled: int
    has_steps: bool = True
    audience: Sequence[Any] = field(default_factory=list)
    mails: Sequence[Outgoing] = ()


def switch(
    connection: sa.Connection,
    organization_id: int,
    kind: ProgramKind,
    name: str,
    verb: str,
    *,
    now: dt.datetime,
) -> Switched:
    """Gives a program another status.

    Args:
        name: External id of the program, or its number.
        verb: One of `SWITCHES`.

    Raises:
        BadInputError: the organization has no such program, the status does not lead there, or a
            step of a program that would be active cannot be done.
    """
    program, _ = find_program(connection, organization_id, kind, name)
    table, change = kind.table, SWITCHES[verb]
    stored = connection.execute(
        sa.select(table.c.status, table.c.started_at)
        .where(table.c.id == program.id)
        .with_for_update(key_share=True)
    ).one()
    has_changed = stored.status != change.status
    if has_changed and stored.status not in change.since:
        raise BadInputError(
            f"{program.name} is {stored.status}: {verb} is for one that is {_listed(change.since)}."
        )
    planned = plan.read(connection, kind, [program])
    if has_changed and change.status == "active":
        _refuse_undoable(connection, program)
    if has_changed:
        values: dict[str, Any] = {"status": change.status}
        is_ahead = stored.started_at is not None and stored.started_at > now
        if change.status == "active" and (stored.status == "scheduled" or is_ahead):
            # It starts now, not at its planned start: triggers and reports go by it.
            values["started_at"] = now
        started_at = connection.execute(
            sa.update(table)
            .where(table.c.id == program.id)
            .values(values)
            .returning(table.c.started_at)
        ).scalar_one()
        if verb == "activate" and kind.publish_start is not None:
            kind.publish_start(
                connection, organization_id, program.id, program.external_id, started_at, now
            )
    asked = {"kind": kind.name, "program": program.id}
    messages, _ = messages_of(connection, planned)
    channels = sorted({CHANNELS[one.type] for one in planned if one.type in CHANNELS})
    return Switched(
        program,
        change.status,
        has_changed,
        enrolled=connection.execute(read_sql("count_enrolled"), asked).scalar_one(),
        has_steps=bool(planned),
        audience=connection.execute(
            read_sql("audience"), asked | {"channels": channels, "now": now}
        ).all(),
        mails=[
            messages[one.id]
            for one in planned
            if one.id in messages
            and CHANNELS[one.type] == "email"
            and messages[one.id].kind == "marketing"
        ],
    )


def _refuse_undoable(connection: sa.Connection, program: Program) -> None:
    problems = list(problems_of(connection, program.kind, [program]))
    if problems:
        more = f"; {len(problems) - 1} more of its steps cannot be done" if problems[1:] else ""
        raise BadInputError(f"Nothing was changed: {problems[0].removesuffix('.')}{more}.")


def _listed(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
