"""The steps of programs as the engine works with them: in their order, linked, problems named."""

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.named_templates.catalog import Outgoing
from marketing_pipelines.domains.lifecycle import steps
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind
from marketing_pipelines.domains.lifecycle.programs import Program, read_sql
from marketing_pipelines.domains.lifecycle.steps import (
    END,
    WEEKDAYS,
    Branch,
    CreateTask,
    Send,
    Split,
    Step,
    StepError,
    Wait,
    WaitFor,
)
from marketing_pipelines.domains.lifecycle.ways import names_of, starts_of, way_outcome
from marketing_pipelines.domains.segments import dates

ENTRANCE = "enter"
SWITCHED_OFF = "off"
# As a source: the program that waits.
OWN = "program"
# Between the names that are hashed together.
SEPARATOR = "\x1f"


@dataclass
class PlannedStep:
    """One step of a program.

    Attributes:
        id: Its number; of a program's entrance, where contacts stand before the first step, minus
            the number of the program.
        type: As in `lifecycle.steps`, or `enter`, or `off` for one that is switched off.
        targets: Steps to which its outcomes lead: next, yes, no, and each way of a split; None: out
            of the program.
        problem: Why it cannot be done; contacts stay where they are.
        config: Its object as stored; empty where it is switched off or cannot be read.
    """

    id: int
    program: Program
    name: str
    type: str
    config: Mapping[str, Any]
    step: Step | None = None
    targets: dict[str, int | None] = field(default_factory=dict)
    problem: str | None = None

    @property
    def salt(self) -> str:
        """The salt of a split: kind, program and step."""
        return SEPARATOR.join((self.program.kind.name, self.program.external_id, self.name))

    def __str__(self) -> str:
        return f"step {self.name}"


def read(
    connection: sa.Connection, kind: ProgramKind, programs: Sequence[Program]
) -> list[PlannedStep]:
    """The steps of these programs, each program's after an entrance."""
    rows = connection.execute(
        read_sql("steps_of_programs"), {"kind": kind.name, "programs": [p.id for p in programs]}
    ).all()
    by_id = {program.id: program for program in programs}
    planned: list[PlannedStep] = []
    for program_id, own in itertools.groupby(rows, key=lambda row: int(row.program_id)):
        planned += _linked(by_id[program_id], list(own))
    return planned


def _linked(program: Program, rows: Sequence[Any]) -> Iterator[PlannedStep]:
    places = {row.external_id: place for place, row in enumerate(rows)}
    yield PlannedStep(-program.id, program, "entrance", ENTRANCE, {}, targets={"next": rows[0].id})
    for place, row in enumerate(rows):
        following = rows[place + 1].id if place + 1 < len(rows) else None
        planned = PlannedStep(
            row.id,
            program,
            row.external_id,
            row.type if row.enabled else SWITCHED_OFF,
            {},
            targets={"next": following},
        )
        try:
            if row.enabled:
                planned.config = steps.read_stored(row.config)
                planned.step = steps.parse(row.type, planned.config)
                _require_own_events(planned)
                targets = planned.step.targets
            else:
                # Nothing else that is wrong with it matters while it is switched off.
                targets = {"next": steps.next_of(row.config)}
            for outcome, name in targets.items():
                if name is not None:
                    planned.targets[outcome] = _target(name, place, places, rows)
                else:
                    planned.targets[outcome] = following
        except StepError as error:
            planned.problem = str(error)
        yield planned


def _require_own_events(planned: PlannedStep) -> None:
    if not planned.program.kind.has_own_events and OWN in _sources_of(planned.step):
        raise StepError(
            f"source: '{OWN}' waits for events of the program itself, and a "
            f"{planned.program.kind} has no events of its own."
        )


def _target(name: str, place: int, places: Mapping[str, int], rows: Sequence[Any]) -> int | None:
    if name == END:
        return None
    if name not in places:
        raise StepError(f"It leads to '{name}', which is no step of its program.")
    if places[name] <= place:
        raise StepError(f"It leads back to '{name}': a step leads only to later ones.")
    target: int = rows[places[name]].id
    return target


def write(
    connection: sa.Connection,
    planned: Iterable[PlannedStep],
    messages: Mapping[int, Outgoing],
    contents: Mapping[int, int],
    endpoints: Mapping[int, int],
    campaigns: Mapping[tuple[int, str], int],
) -> None:
    """Fills the temporary table `planned_steps`.

    Args:
        messages: Messages of the steps that send, by step.
        contents: Content of a step's messages, by step.
        endpoints: Webhook endpoints, by step.
        campaigns: Numbers of campaigns by organization and external id.
    """
    rows = [
        {
            "step_id": one.id,
            "program_id": one.program.id,
            "organization_id": one.program.organization_id,
            "type": one.type,
            "is_blocked": one.problem is not None,
            "next_id": one.targets.get("next"),
            "yes_id": one.targets.get("yes"),
            "no_id": one.targets.get("no"),
            "content_id": contents.get(one.id),
            "endpoint_id": endpoints.get(one.id),
            "config": one.config,
            **_options(one, campaigns),
            **_message(messages.get(one.id)),
            **_ways(one),
        }
        for one in planned
    ]
    if rows:
        connection.execute(read_sql("fill_planned_steps"), {"rows": rows})
        connection.execute(sa.text("analyze planned_steps"))


def _options(one: PlannedStep, campaigns: Mapping[tuple[int, str], int]) -> dict[str, Any]:
    step = one.step
    if isinstance(step, Wait):
        return {
            "wait_seconds": _seconds(step.duration),
            "wait_until": step.until,
            "wait_weekday": WEEKDAYS.index(step.weekday) + 1 if step.weekday else None,
        }
    if isinstance(step, Send):
        return {"is_bulk": step.bulk}
    if isinstance(step, CreateTask):
        return {"wait_seconds": _seconds(step.due_in)}
    if isinstance(step, WaitFor):
        return {
            "awaits": step.event,
            "timeout_seconds": _seconds(step.timeout),
            "source_ids": source_ids(one, step, campaigns),
        }
    return {}


def _message(message: Outgoing | None) -> dict[str, Any]:
    if message is None:
        return {}
    return {
        "message_kind": message.kind,
        "priority": message.priority,
        "valid_seconds": _seconds(message.valid_for),
        "category_id": message.category_id,
        "domain_id": message.domain_id,
    }


def _ways(one: PlannedStep) -> dict[str, Any]:
    if not isinstance(one.step, Split):
        return {}
    names = names_of(one.step.ways)
    return {
        "salt": one.salt,
        "way_names": names,
        "way_starts": starts_of(one.step.ways),
        "way_ids": [one.targets.get(way_outcome(name)) for name in names],
    }


def source_ids(
    one: PlannedStep, step: WaitFor, campaigns: Mapping[tuple[int, str], int]
) -> list[int] | None:
    """The campaigns of which the awaited event must be one; None: of any or none."""
    if step.source is None:
        return None
    organization_id = one.program.organization_id
    return [
        one.program.id if name == OWN else campaigns.get((organization_id, name), 0)
        for name in _sources_of(step)
    ]


def _sources_of(step: Step | None) -> list[str]:
    source = step.source if isinstance(step, WaitFor) else None
    return [source] if isinstance(source, str) else source or []


def branches(planned: Iterable[PlannedStep]) -> list[tuple[PlannedStep, Any]]:
    """The steps that branch, each with its rule."""
    return [(one, one.step.rule) for one in planned if isinstance(one.step, Branch)]


def sources(planned: Iterable[PlannedStep]) -> set[str]:
    """The external ids of campaigns that steps name."""
    return {name for one in planned for name in _sources_of(one.step)} - {OWN}


def named_campaigns(
    connection: sa.Connection, planned: Sequence[PlannedStep]
) -> dict[tuple[int, str], int]:
    """The numbers of the campaigns that steps name, by organization and external id."""
    names = sources(planned)
    if not names:
        return {}
    organizations = {one.program.organization_id for one in planned}
    rows = connection.execute(
        read_sql("campaigns_named"), {"organizations": list(organizations), "names": list(names)}
    )
    return {(row.organization_id, row.external_id): row.id for row in rows}


def _seconds(length: str | None) -> float | None:
    return None if length is None else dates.length_or_zero(length) / dt.timedelta(seconds=1)
