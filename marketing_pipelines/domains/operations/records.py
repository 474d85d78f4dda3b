"""Stored samples of health and metrics, for charts."""

import datetime as dt
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines import registry
from marketing_pipelines.jobs.scheduling import schedule_name
from marketing_pipelines.observability.health import Health, dead_letter_counts
from marketing_pipelines.observability.tables import health_reports, metric_samples
from marketing_pipelines.runs import incidents

if TYPE_CHECKING:
    from marketing_pipelines.observability.metrics import Sample

DEAD_LETTER_STEPS = (1, 10, 100, 1_000)


def keep_report(connection: sa.Connection, tick: dt.datetime, health: Health) -> None:
    """Writes the tick's report, and opens and ends the incidents that health alone sees."""
    insert = pg.insert(health_reports).values(
        at=tick, status=health.status, report=health.as_dict()
    )
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["at"],
            set_={"status": insert.excluded.status, "report": insert.excluded.report},
        )
    )
    incidents.set_lasting(connection, "overdue", _overdue(health, incidents.failing(connection)))
    incidents.set_lasting(connection, "file", registry.import_errors)
    incidents.set_lasting(connection, "dead-letters", _dead(dead_letter_counts(connection)))


def _overdue(health: Health, failing: Set[str]) -> dict[str, str]:
    """Overdue jobs, except jobs with an open incident because they fail."""
    return {
        job: "Its schedule is stopped in the Dagster UI: start it there."
        if schedule_name(job) in health.stopped
        else "Its tick was not done in ten minutes."
        for job in health.overdue
        if job not in failing or f"overdue {job}" in failing
    }


def _dead(counts: Mapping[str, int]) -> dict[str, str]:
    """One incident for the first dead letter of a queue, and one for each threshold reached."""
    return {
        queue if least == 1 else f"{queue} {least}+": f"{number} tasks failed for good."
        for queue, number in counts.items()
        for least in DEAD_LETTER_STEPS
        if number >= least
    }


def keep_samples(connection: sa.Connection, tick: dt.datetime, samples: Sequence["Sample"]) -> int:
    """Writes the tick's samples; returns how many."""
    connection.execute(sa.delete(metric_samples).where(metric_samples.c.at == tick))
    connection.execute(
        sa.insert(metric_samples),
        [{"at": tick, "metric": s.metric, "labels": s.labels, "value": s.value} for s in samples],
    )
    return len(samples)
