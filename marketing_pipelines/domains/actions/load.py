"""The files of routes."""

from marketing_pipelines.domains.actions import tables
from marketing_pipelines.domains.actions.targets import TARGETS
from marketing_pipelines.domains.actions.types import pattern_problem
from marketing_pipelines.stores.kinds import (
    CREATED_AT,
    ENABLED,
    EXTERNAL_ID,
    Column,
    FileRow,
    Kind,
)


def _type_problem(row: FileRow) -> str | None:
    pattern = row.get("type")
    return None if pattern is None else pattern_problem(pattern)


def _name_problem(row: FileRow) -> str | None:
    from marketing_pipelines.domains import load_tasks

    name, target = row.get("name"), TARGETS.get(row.get("target") or "")
    if name is None or target is None:
        return None
    load_tasks()
    return target.problem_of_name(name)


KINDS = (
    Kind(
        "action_routes",
        tables.routes,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("type", required=True, problem=_type_problem),
            Column("target", choices=tables.TARGETS, required=True),
            Column("name", required=True, problem=_name_problem),
            ENABLED,
            CREATED_AT,
        ),
        attributes=False,
    ),
)
