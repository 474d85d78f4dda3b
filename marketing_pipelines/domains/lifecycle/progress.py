"""One pass of the step engine as a job: its numbers, its failing programs, its late contacts."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from marketing_pipelines.domains.lifecycle.engine import StepPass
from marketing_pipelines.domains.lifecycle.pass_plan import BATCH
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind
from marketing_pipelines.domains.lifecycle.programs import read_sql
from marketing_pipelines.jobs.metadata import table_of
from marketing_pipelines.runs.tick import Tick

TWO_TICKS = dt.timedelta(minutes=10)


def make_progress(tick: Tick, kind: ProgramKind, *, batch: int = BATCH) -> None:
    """Moves on the due contacts of every active program of a kind."""
    report = StepPass(
        tick.sharing,
        kind,
        tick.instant,
        tick.zone,
        tick.failures,
        batch=batch,
        extra_connection=tick.extra_connection,
        connections=tick.settings.step_connections,
    ).run()
    tick.rows = report.moved_on + report.quarantined
    # Programs without due contacts count as done: one that fails is then not the whole job.
    tick.failures.ok += report.idle
    numbers = {
        name: getattr(report, name)
        for name in ("programs", "taken", "batches", "connections", "woken", "quarantined")
    }
    late: Sequence[Any] = ()
    if report.programs:
        with tick.sharing() as connection:
            late = connection.execute(
                read_sql("left_behind"),
                {"kind": kind.name, "tick": tick.instant, "before": tick.instant - TWO_TICKS},
            ).all()
    tick.metadata |= numbers | {
        "steps_done": report.outcomes.total(),
        "steps": table_of(("step and outcome", "contacts"), sorted(report.outcomes.items())),
        "ended": table_of(("status", "contacts"), sorted(report.ended.items())),
        "left_behind": sum(
            row.contacts for row in late if row.program_id not in report.blocked_programs
        ),
    }
    if report.blocked:
        tick.metadata["held"] = table_of(
            ("program", "why its contacts wait"), report.blocked.items()
        )
