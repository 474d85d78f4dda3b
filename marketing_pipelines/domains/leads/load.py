"""The files of score rules."""

from marketing_pipelines.domains.leads.score_rules import problem_of
from marketing_pipelines.domains.leads.tables import COUNTS, score_rules
from marketing_pipelines.stores.kinds import (
    CREATED_AT,
    ENABLED,
    EXTERNAL_ID,
    Column,
    FileRow,
    Kind,
)


def _rule_problem(row: FileRow) -> str | None:
    rule = row.get("rule")
    return None if rule is None else problem_of(rule, row.get("counts"))


KINDS = (
    Kind(
        "score_rules",
        score_rules,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("name"),
            Column("rule", "object", required=True, problem=_rule_problem),
            Column("points", "integer", required=True, least=-1_000, most=1_000),
            Column("counts", choices=COUNTS, empty="'once'"),
            Column("most", "integer", least=1),
            ENABLED,
            CREATED_AT,
        ),
        attributes=False,
    ),
)
