"""The files of segments and of their manual members."""

from marketing_pipelines.domains.crm.references import CONTACT
from marketing_pipelines.domains.segments import rules
from marketing_pipelines.domains.segments.tables import manual_members, segments
from marketing_pipelines.stores.kinds import (
    CREATED_AT,
    EXTERNAL_ID,
    Column,
    FileRow,
    Kind,
    Reference,
)


def _rule_problem(row: FileRow) -> str | None:
    rule = row.get("rule")
    return None if rule is None else rules.problem_of(rule)


KINDS = (
    Kind(
        "segments",
        segments,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("name"),
            Column("rule", "object", empty="""'{"any": []}'""", problem=_rule_problem),
            Column("evaluated", choices=("always", "on_use"), empty="'always'"),
            CREATED_AT,
        ),
    ),
    Kind(
        "segment_members",
        manual_members,
        key=("segment", "contact_id"),
        columns=(
            Column("segment", required=True, reference=Reference(segments), column="segment_id"),
            Column("contact_id", required=True, reference=CONTACT),
            Column("action", choices=("add", "remove", "clear"), required=True),
        ),
        attributes=False,
    ),
)
