"""The files of steps, and the common parts of the files of all kinds of program."""

from collections.abc import Iterator

import sqlalchemy as sa

from marketing_pipelines.domains.crm.references import CONTACT
from marketing_pipelines.domains.lifecycle import (
    endings,
    step_endpoints,
    step_messages,
    steps,
    trigger_configs,
)
from marketing_pipelines.domains.lifecycle import tables as lifecycle
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind
from marketing_pipelines.domains.lifecycle.programs import programs
from marketing_pipelines.domains.segments.tables import segments
from marketing_pipelines.stores.kinds import (
    CREATED_AT,
    ENABLED,
    EXTERNAL_ID,
    Column,
    FileRow,
    Kind,
    Reference,
    RefusedRow,
)

MAX_GOAL_DAYS = 3_650


def status_instant(name: str) -> Column:
    """Returns the column of an instant of a program's status.

    The database writes it if no file names it; an empty cell clears it only before the program
    starts.
    """
    return Column(
        name,
        "instant",
        only_if=f"changed.{name} is not null"
        " or changed.status in ('draft', 'scheduled', 'imported')",
    )


def ending_file_columns() -> tuple[Column, ...]:
    """Returns the columns of the exit and the goal of a program."""
    return (
        Column("exit", "json", problem=lambda row: _ending_problem(row, "exit")),
        Column("goal", "json", problem=lambda row: _ending_problem(row, "goal")),
        Column("goal_days", "integer", empty="7", problem=_goal_days_problem),
    )


def program_files(kind: ProgramKind) -> Kind:
    """Returns the declaration of the file of programs of a kind."""
    return Kind(
        kind.table.name,
        kind.table,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("name"),
            Column("status", choices=("draft", "active", "paused", "cancelled"), empty="'draft'"),
            status_instant("started_at"),
            status_instant("paused_at"),
            status_instant("cancelled_at"),
            *ending_file_columns(),
            CREATED_AT,
        ),
    )


# Contacts move on by themselves: a file may end running enrolments, and undoes no end.
_BEFORE_STEPS = "stored.step_id is null"
_ENDS = "stored.status = 'active' and changed.status <> 'active'"


def enrolment_files(name: str, kind: ProgramKind, reference: Reference) -> Kind:
    """Returns the declaration of the file of contacts in programs of a kind."""
    return Kind(
        name,
        lifecycle.enrolments,
        key=(f"{kind.name}_id", "contact_id"),
        fixed=(("program_kind", f"'{kind.name}'"), ("rotation", "1")),
        columns=(
            Column(f"{kind.name}_id", required=True, reference=reference, column="program_id"),
            Column("contact_id", required=True, reference=CONTACT),
            Column(
                "status",
                choices=("active", "completed", "exited", "failed"),
                empty="'active'",
                only_if=_ENDS,
            ),
            Column("entered_at", "instant", required=True, only_if=_BEFORE_STEPS),
            Column("completed_at", "instant", only_if=_ENDS),
            Column("exited_at", "instant", only_if=_ENDS),
        ),
        attributes=False,
    )


def trigger_files(kind: ProgramKind, reference: Reference) -> Kind:
    """Returns the declaration of the file of triggers of programs of a kind."""
    return Kind(
        f"{kind.name}_triggers",
        lifecycle.triggers,
        key=(f"{kind.name}_id", "external_id"),
        fixed=(("program_kind", f"'{kind.name}'"),),
        columns=(
            Column(f"{kind.name}_id", required=True, reference=reference, column="program_id"),
            EXTERNAL_ID,
            Column("type", choices=("segment", "event", "date"), required=True),
            Column(
                "segment",
                reference=Reference(segments),
                column="segment_id",
                problem=_trigger_segment_problem,
            ),
            Column("event_type", problem=_trigger_event_problem),
            Column("config", "object", empty="'{}'", problem=_trigger_config_problem),
            Column(
                "policy",
                choices=lifecycle.POLICIES,
                empty="'once'",
                problem=_trigger_policy_problem,
            ),
            ENABLED,
            CREATED_AT,
        ),
        attributes=False,
    )


def _ending_problem(row: FileRow, column: str) -> str | None:
    value = row.get(column)
    if not value:
        return None
    if not value.lstrip().startswith(("{", "[")):
        return (
            f"'{value[:60]}' is text, and {column} holds a condition such as"
            ' {"event": "purchase"}: to keep the texts as an attribute, rename the column, e.g. to'
            f" {column}_text"
        )
    return endings.problem_of(value)


def _goal_days_problem(row: FileRow) -> str | None:
    days = row.get("goal_days") or ""
    return "is more than 3650 days, or not positive" if _is_out_of_range(days) else None


def _is_out_of_range(days: str) -> bool:
    # A cell that is no number is refused by the column's type.
    return days.lstrip("+-").isdecimal() and not 1 <= int(days) <= MAX_GOAL_DAYS


def _step_problem(row: FileRow) -> str | None:
    if "config" not in row:
        return None
    return steps.problem_of(row.get("type") or "", row["config"] or "{}")


def _trigger_segment_problem(row: FileRow) -> str | None:
    if row.get("type") == "segment" and not row.get("segment"):
        return "is missing: a trigger of type segment names one"
    return _unused(row, "segment")


def _trigger_event_problem(row: FileRow) -> str | None:
    if row.get("type") != "event":
        return _unused(row, "event_type")
    event = row.get("event_type")
    return steps.event_problem(event) if event else "is missing: a trigger of type event names one"


def _trigger_config_problem(row: FileRow) -> str | None:
    config = row.get("config") or "{}"
    if row.get("type") == "date":
        return trigger_configs.problem_of_date(config)
    if row.get("type") == "event":
        return trigger_configs.problem_of_event(config)
    return None if _is_empty(config) else _unused(row, "config")


def _trigger_policy_problem(row: FileRow) -> str | None:
    if row.get("type") == "date" and row.get("policy") == "backfill":
        return "is backfill, but a trigger of type date looks at days to come only: leave it empty"
    return None


def _is_empty(config: str) -> bool:
    try:
        return steps.read_object(config) == {}
    except ValueError:
        # The column's type names the fault.
        return True


def _unused(row: FileRow, column: str) -> str | None:
    return trigger_configs.unused(row.get("type") or "", column) if row.get(column) else None


def _refused_steps(connection: sa.Connection) -> Iterator[RefusedRow]:
    yield from step_messages.refused(connection)
    yield from step_endpoints.refused(connection)


KINDS = (
    Kind(
        "steps",
        lifecycle.steps,
        key=("program_kind", "program", "external_id"),
        columns=(
            Column("program_kind", choices=lifecycle.KINDS, required=True),
            Column(
                "program",
                required=True,
                reference=Reference(programs, discriminators=(("kind", "program_kind"),)),
                column="program_id",
            ),
            EXTERNAL_ID,
            Column("name"),
            Column("position", "integer", required=True),
            Column("type", choices=lifecycle.STEP_TYPES, required=True),
            Column("config", "object", empty="'{}'", problem=_step_problem),
            ENABLED,
        ),
        attributes=False,
        refused=_refused_steps,
    ),
)
