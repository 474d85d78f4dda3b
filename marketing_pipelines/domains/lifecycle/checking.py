"""Faults of steps, found before contacts come to them."""

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.lifecycle import endings, plan
from marketing_pipelines.domains.lifecycle.plan import PlannedStep
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind, declared
from marketing_pipelines.domains.lifecycle.programs import Program, read_sql
from marketing_pipelines.domains.lifecycle.step_endpoints import endpoints_of
from marketing_pipelines.domains.lifecycle.step_messages import messages_of
from marketing_pipelines.domains.lifecycle.steps import StepError
from marketing_pipelines.domains.lifecycle.trigger_configs import parse_date, parse_event
from marketing_pipelines.domains.segments import segment_graph
from marketing_pipelines.domains.segments.compiler import Compiler, Frame
from marketing_pipelines.domains.segments.event_names import notes
from marketing_pipelines.domains.segments.rule_errors import RuleError
from marketing_pipelines.domains.segments.rules import Attribute

# Names are the same in every zone and at every instant.
_ZONE, _NOW = ZoneInfo("UTC"), dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


def problems(connection: sa.Connection) -> Iterator[str]:
    """Yields a sentence for each unusable step, exit and goal of programs that are not over."""
    for kind in declared().values():
        rows = connection.execute(read_sql("programs_under_way"), {"kind": kind.name})
        yield from problems_of(connection, kind, [Program(kind, *row) for row in rows])


def problems_of(
    connection: sa.Connection, kind: ProgramKind, programs: Sequence[Program]
) -> Iterator[str]:
    """Yields a sentence for each step of these programs that cannot be done. The step cannot be
    read, or names a step, campaign, segment, attribute, event property, template, category,
    sending domain or webhook endpoint that does not exist."""
    planned = plan.read(connection, kind, programs)
    campaigns = plan.named_campaigns(connection, planned)
    _, unknown = messages_of(connection, planned)
    unknown |= endpoints_of(connection, planned)[1]
    branches = plan.branches(planned)
    rules = _wrong_rules(
        connection, [(one.id, one.program.organization_id, "rule", rule) for one, rule in branches]
    )
    for one in planned:
        reason = one.problem or unknown.get(one.id) or _unknown(one, campaigns) or rules.get(one.id)
        if reason is not None:
            yield f"{one.program}, {one}: {reason}"
    yield from _of_endings(connection, kind, programs)


def notes_on_triggers(connection: sa.Connection) -> Iterator[str]:
    """Yields a sentence for each trigger with a name that its organization does not have yet."""
    rows = connection.execute(read_sql("triggers_under_way")).all()
    for organization_id, own in itertools.groupby(rows, key=lambda row: int(row.organization_id)):
        frame = _frame(connection, organization_id)
        for row in own:
            try:
                rule = _rule_of(row)
                Compiler(frame).condition(rule)
                found = [note.removesuffix(".") for note in notes(rule, frame.event_fields)]
            except RuleError as error:
                found = [error.problem]
            except StepError as error:
                found = [str(error).removesuffix(".")]
            for reason in found:
                yield (
                    f"trigger {row.external_id} of {row.program_kind} {row.program} of "
                    f"{row.organization}: {reason}."
                )


def _rule_of(trigger: Any) -> Any:
    """The rule that a contact of an event, or with a date, satisfies."""
    if trigger.type == "event":
        return parse_event(trigger.event_type, trigger.config)
    attribute = parse_date(trigger.config).attribute
    return Attribute(attribute=attribute, op="exists")


def _frame(connection: sa.Connection, organization_id: int) -> Frame:
    return segment_graph.frame(
        connection,
        organization_id,
        zone=_ZONE,
        now=_NOW,
        segments=segment_graph.Published(segment_graph.read(connection, organization_id)),
    )


def _of_endings(
    connection: sa.Connection, kind: ProgramKind, programs: Sequence[Program]
) -> Iterator[str]:
    """Sentences on exits and goals that cannot be used."""
    found, problems = endings.read(connection, kind, programs)
    wrong = _wrong_rules(
        connection,
        [
            (one.id, one.program.organization_id, one.column, one.rule)
            for one in found
            if one.rule is not None
        ],
    )
    for program in programs:
        own = [wrong[one.id] for one in found if one.program is program and one.id in wrong]
        for reason in (problems.get(program.id), *own):
            if reason is not None:
                yield f"{program}, {reason}"


def _wrong_rules(
    connection: sa.Connection, asked: Sequence[tuple[int, int, str, Any]]
) -> dict[int, str]:
    """Faults of names in rules, by number.

    Args:
        asked: Number, organization, path and rule.
    """
    wrong: dict[int, str] = {}
    for organization_id in {organization for _, organization, _, _ in asked}:
        frame = _frame(connection, organization_id)
        for number, organization, path, rule in asked:
            if organization == organization_id:
                try:
                    Compiler(frame).condition(rule, path)
                except RuleError as error:
                    wrong[number] = str(error)
    return wrong


def _unknown(one: PlannedStep, campaigns: Mapping[tuple[int, str], int]) -> str | None:
    organization_id = one.program.organization_id
    for name in sorted(plan.sources([one])):
        if (organization_id, name) not in campaigns:
            return f"source: there is no campaign '{name}'."
    return None
