"""Exit and goal of programs: the conditions under which a contact leaves before the last step."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.lifecycle import steps
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind
from marketing_pipelines.domains.lifecycle.programs import Program, read_sql
from marketing_pipelines.domains.lifecycle.steps import StepError
from marketing_pipelines.domains.segments import rules
from marketing_pipelines.domains.segments.rule_errors import RuleError, join

COLUMNS = ("exit", "goal")
_KEYS = ("rule", "event", "left_segment")


@dataclass(frozen=True)
class Ending:
    """One condition of an exit or a goal; exactly one of rule, event and left segment is set.

    Attributes:
        id: Its number in a pass.
        column: exit or goal.
        rule: What `rules.parse_value` gives.
        event: An event type, exactly.
        left_segment: Whether the contact left the segment of the trigger that enrolled it.
    """

    id: int
    program: Program
    column: str
    rule: Any = None
    event: str | None = None
    left_segment: bool = False


def parse(value: Any) -> list[Mapping[str, Any]]:
    """Returns the conditions of an exit or a goal, each with just one of its keys, rules parsed.

    Args:
        value: An object, or a list of objects of which one must hold.

    Raises:
        StepError: it says what is wrong where.
    """
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise StepError("has no conditions: leave it empty.")
    return [
        _parsed(each, f"[{place}]" if isinstance(value, list) else "")
        for place, each in enumerate(listed)
    ]


def _parsed(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in _KEYS:
        where = f"{path}: takes" if path else "takes"
        raise StepError(f"{where} an object with just one of the keys {', '.join(_KEYS)}.")
    [(key, given)] = value.items()
    here = join(path, key)
    if key == "rule":
        try:
            return {"rule": rules.parse_value(given)}
        except RuleError as error:
            raise StepError(f"{join(here, error.path)}: {error.reason}.") from None
    if key == "left_segment":
        if given is not True:
            raise StepError(f"{here}: takes true.")
    elif not isinstance(given, str) or not given:
        raise StepError(f"{here}: takes a type of event.")
    elif problem := steps.event_problem(given):
        raise StepError(f"{here}: {problem}.")
    return value


def problem_of(text: str) -> str | None:
    """Returns the problem of an exit or goal given as JSON text; None: it is right."""
    try:
        parse(json.loads(text))
    except (ValueError, RecursionError):
        return "is not valid JSON"
    except StepError as error:
        return str(error).removesuffix(".")
    return None


def read(
    connection: sa.Connection, kind: ProgramKind, programs: Sequence[Program]
) -> tuple[list[Ending], dict[int, str]]:
    """Returns the conditions of these programs, and by program why they cannot be used.

    A condition about a left segment is refused where no trigger of the program has a segment.
    """
    by_id = {program.id: program for program in programs}
    found: list[Ending] = []
    problems: dict[int, str] = {}
    rows = connection.execute(
        read_sql("endings_of_programs"), {"kind": kind.name, "programs": list(by_id)}
    )
    for row in rows:
        for column in COLUMNS:
            try:
                found += _of_column(by_id[row.id], column, row, len(found) + 1)
            except StepError as error:
                problems[row.id] = f"{column}: {error}"
    return found, problems


def _of_column(program: Program, column: str, row: Any, first: int) -> Iterator[Ending]:
    value = getattr(row, column)
    if value is None:
        return
    for number, given in enumerate(parse(json.loads(value)), start=first):
        if "left_segment" in given and not row.has_segment_trigger:
            raise StepError("left_segment: the program has no trigger of type segment.")
        yield Ending(number, program, column, **given)


def write(connection: sa.Connection, endings: Sequence[Ending]) -> None:
    """Fills the temporary table `planned_endings`."""
    connection.execute(
        read_sql("fill_planned_endings"),
        {
            "rows": [
                {
                    "ending_id": one.id,
                    "program_id": one.program.id,
                    "reason": one.column,
                    "event_type": one.event,
                    "left_segment": one.left_segment,
                }
                for one in endings
            ]
        },
    )
