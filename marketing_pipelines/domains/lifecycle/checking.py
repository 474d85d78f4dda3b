"""What is wrong with the steps of programs, told before contacts come to them."""

from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from marketing_pipelines.domains.lifecycle import plan
from marketing_pipelines.domains.lifecycle.plan import PlannedStep
from marketing_pipelines.domains.lifecycle.programs import Program, read_sql
from marketing_pipelines.domains.lifecycle.tables import KINDS


def problems(connection: sa.Connection) -> Iterator[str]:
    """One sentence for each step of a program that is not over and that could not be done: it
    cannot be read, or names a step, campaign or segment that is not there."""
    for kind in KINDS:
        rows = connection.execute(read_sql("programs_with_steps"), {"kind": kind})
        programs = [Program(kind, *row) for row in rows]
        planned = plan.read(connection, kind, programs)
        campaigns = plan.named_campaigns(connection, planned)
        found = connection.execute(
            read_sql("unknown_segments"), {"steps": [one.id for one, _ in plan.branches(planned)]}
        )
        segments = {row.step_id: row.segment for row in found}
        for one in planned:
            reason = one.problem or _unknown(one, campaigns, segments)
            if reason is not None:
                yield f"{one.program}, {one}: {reason}"


def _unknown(
    one: PlannedStep, campaigns: Mapping[tuple[int, str], int], segments: Mapping[int, str]
) -> str | None:
    organization_id = one.program.organization_id
    for name in sorted(plan.sources([one])):
        if (organization_id, name) not in campaigns:
            return f"source: there is no campaign '{name}'."
    if one.id in segments:
        return f"segment: there is no segment '{segments[one.id]}'."
    return None
