"""Evaluates the segments of all organizations, and counts their sizes day by day."""

import datetime as dt
from dataclasses import asdict

import sqlalchemy as sa

from marketing_pipelines.domains.segments import evaluation
from marketing_pipelines.domains.segments import sizes as day_sizes
from marketing_pipelines.domains.segments.segment_graph import read_sql
from marketing_pipelines.domains.segments.tables import daily_sizes
from marketing_pipelines.freshness import propagation
from marketing_pipelines.freshness.partitions import PartitionedAsset, window, window_at
from marketing_pipelines.jobs.metadata import line_chart, preview, table_of
from marketing_pipelines.runs.tags import trigger_of
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.tables import finished_partitions

CHART_DAYS = 28
CHART_SEGMENTS = 8
LARGEST = ("organization", "segment", "version", "members", "evaluated at")


def evaluate_all(tick: Tick, *, sizes: PartitionedAsset) -> None:
    """Evaluates the segments of each organization in a transaction of its own.

    Args:
        sizes: The asset whose days are counted again where members of a past instant change.
    """
    by_time = trigger_of(tick.context.run.tags) != "sensor"
    with tick.begin() as connection:
        organizations = evaluation.due(connection, by_time=by_time)
    report = evaluation.EvaluationReport()
    for organization in organizations:
        _evaluate(tick, organization, by_time, report, sizes)
    # Segments without changes are right, too: one that fails is then not the whole job.
    tick.failures.ok += report.unchanged
    tick.rows += report.entered + report.left
    tick.metadata |= {"organizations": len(organizations), **asdict(report)}
    with tick.begin() as connection:
        tick.metadata["largest"] = table_of(LARGEST, connection.execute(read_sql("largest")))


def _evaluate(
    tick: Tick,
    organization: evaluation.DueOrganization,
    by_time: bool,
    report: evaluation.EvaluationReport,
    sizes: PartitionedAsset,
) -> None:
    """One organization; an error outside its segments is a failed item, not the job's end."""
    item = f"organization {organization.external_id}"
    try:
        with tick.begin() as connection:
            one = evaluation.SegmentPass(
                connection, organization, tick.instant, tick.zone, retry=by_time, report=report
            )
            one.run(tick.items)
            if one.changes:
                _restate_sizes(tick, connection, one.now, sizes)
            tick.failures.recovered(connection, item)
    except sa.exc.DBAPIError as error:
        # Another transaction was in the way: the run is tried again at once.
        conflict = str(getattr(error.orig, "sqlstate", None) or "").startswith("40")
        if error.connection_invalidated or conflict:
            raise
        with tick.begin() as connection:
            tick.failures.failed_with(connection, item, error)


def _restate_sizes(
    tick: Tick, connection: sa.Connection, now: dt.datetime, sizes: PartitionedAsset
) -> None:
    """Marks the days from the instant on that were counted already, to be counted again."""
    since = window_at("day", now, tick.zone).key
    counted = connection.execute(
        sa.select(finished_partitions.c.partition).where(
            finished_partitions.c.asset == sizes.key,
            finished_partitions.c.partition >= since,
        )
    ).scalars()
    days = [window("day", key, tick.zone) for key in counted]
    propagation.mark(connection, sizes, days, now=tick.instant, zone=tick.zone)


def count_days(tick: Tick) -> None:
    """Counts the tick's days."""
    for days in tick.chunks({}, most_rows=1):
        with tick.replacing(days) as replacement:
            replacement.finished(day_sizes.count_days(replacement.connection, days))
    if tick.windows:
        last = tick.windows[-1].date
        tick.metadata["preview"] = preview(tick.connection, daily_sizes, daily_sizes.c.date == last)
        rows = tick.connection.execute(
            read_sql("sizes_to_draw"), {"date": last, "days": CHART_DAYS, "most": CHART_SEGMENTS}
        ).all()
        tick.metadata["last_four_weeks"] = line_chart(
            [(row.name, row.dates, row.members) for row in rows], "members at the day's end"
        )
