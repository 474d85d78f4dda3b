"""Publishes the partitions of each asset: chunk by chunk, read, write, verify, mark."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.analytics import (
    aggregates,
    charts,
    contracts,
    export,
    restatements,
)
from marketing_pipelines.domains.analytics.manifest import LakeHours
from marketing_pipelines.domains.analytics.tables import (
    campaign_daily_stats,
    event_aggregates,
    hourly_events,
)
from marketing_pipelines.engines.protocol import Engine
from marketing_pipelines.freshness import propagation, stale_partitions
from marketing_pipelines.freshness.partitions import Window
from marketing_pipelines.freshness.writer_barrier import require_over, wait_for_writers
from marketing_pipelines.jobs.metadata import preview
from marketing_pipelines.runs.checks import CheckOutcome
from marketing_pipelines.runs.tick import Replacement, Tick
from marketing_pipelines.stores.lake import Lake

# Hours are exported and counted by one statement for all, days and months by one statement each.
EVENTS_AT_ONCE = 2_000_000
EVENTS_OF_DAYS_AT_ONCE = 20_000_000
CountRows = Callable[..., dict[str, int]]
Digest = Callable[[sa.Connection, Sequence[Window]], dict[str, Any]]
Verify = Callable[[sa.Connection, Sequence[Window]], list[CheckOutcome]]


def export_hours(tick: Tick, lake: Lake) -> None:
    """Exports the tick's hours and marks the partitions above the changed ones."""
    with export.reading(tick.connection.engine) as source:
        rows_of = export.estimated_rows(tick.connection, tick.windows)
        for hours in tick.chunks(rows_of, most_rows=EVENTS_AT_ONCE):
            require_over(tick.connection, hours[-1].end)
            wait_for_writers(
                tick.connection,
                ["analytics.contact_activity"],
                hours[-1].end,
                patience=tick.timeout,
            )
            with tick.replacing(hours) as replacement:
                done = export.export_hours(replacement.connection, source, hours, lake)
                replacement.finished(done.rows_of)
                _mark_above_hours(tick, replacement, done)
                replacement.after_commit += [partial(lake.remove, hour) for hour in done.emptied]
            tick.outcomes += [
                contracts.ROWS_MATCH_SOURCE.passed(),
                CheckOutcome(
                    contracts.RECEIVED_AFTER_OCCURRED,
                    passed=not done.received_early,
                    details={"events": done.received_early},
                ),
            ]


def _mark_above_hours(tick: Tick, replacement: Replacement, done: export.Export) -> None:
    """An hour that is new and empty restates only days that were counted without it."""
    for changed, never_done_too in ((done.changed, True), (done.new_and_empty, False)):
        for cause, hours in _by_cause(replacement, changed).items():
            propagation.mark_above(
                replacement.connection,
                tick.partitions,
                hours,
                now=tick.instant,
                zone=tick.zone,
                never_done_too=never_done_too,
                in_this_run=tick.next_in_run,
                cause=cause,
            )


def _by_cause(
    replacement: Replacement, windows: Iterable[Window]
) -> dict[stale_partitions.Cause, list[Window]]:
    """Partitions by the cause that those above them inherit, the strongest first."""
    causes: tuple[stale_partitions.Cause, ...] = ("late", "enrolment", "rebuild")
    found: dict[stale_partitions.Cause, list[Window]] = {cause: [] for cause in causes}
    for window in windows:
        marked = replacement.causes(window.key)
        found[next(cause for cause in causes if cause in marked)].append(window)
    return {cause: windows_of for cause, windows_of in found.items() if windows_of}


def publish_hours(tick: Tick, lake: Lake, engine: Engine) -> None:
    """Counts the tick's hours."""

    def verify(connection: sa.Connection, hours: Sequence[Window]) -> list[CheckOutcome]:
        span = {"start": hours[0].start, "end": hours[-1].end}
        return [contracts.uniques_within_events(connection, "hourly", span)]

    _count(
        tick,
        lake,
        engine,
        aggregates.count_hours,
        verify,
        restatements.HOURS,
        aggregates.hours_hold,
    )
    if tick.windows:
        hour = hourly_events.c.hour == tick.windows[-1].start
        tick.metadata["preview"] = preview(tick.connection, hourly_events, hour)


def publish_days(tick: Tick, lake: Lake, engine: Engine) -> None:
    """Counts the tick's days."""

    def verify(connection: sa.Connection, days: Sequence[Window]) -> list[CheckOutcome]:
        dates = {"dates": [w.date for w in days]}
        return [
            contracts.uniques_within_events(connection, "daily", dates),
            contracts.hours_add_up_to_days(connection, days, tick.partitions.upstream),
        ]

    _count(
        tick,
        lake,
        engine,
        aggregates.count_days,
        verify,
        restatements.DAYS,
        aggregates.days_hold,
    )
    if tick.windows:
        day = event_aggregates.c.date == tick.windows[-1].date
        tick.metadata["preview"] = preview(tick.connection, event_aggregates, day)


def publish_months(tick: Tick, lake: Lake, engine: Engine) -> None:
    """Counts the tick's months."""

    def verify(connection: sa.Connection, months: Sequence[Window]) -> list[CheckOutcome]:
        dates = {"dates": [w.date for w in months]}
        return [
            contracts.uniques_within_events(connection, "daily", dates),
            contracts.days_add_up_to_months(connection, months, tick.partitions.upstream),
        ]

    _count(tick, lake, engine, aggregates.count_months, verify, restatements.MONTHS)
    if tick.windows:
        month = sa.and_(
            event_aggregates.c.date == tick.windows[-1].date,
            event_aggregates.c.event_type.like(f"{aggregates.MONTHLY_PREFIX}%"),
        )
        tick.metadata["preview"] = preview(tick.connection, event_aggregates, month)


def publish_campaign_days(tick: Tick, lake: Lake, engine: Engine) -> None:
    """Counts the tick's days per campaign."""

    def verify(connection: sa.Connection, days: Sequence[Window]) -> list[CheckOutcome]:
        dates = [w.date for w in days]
        return [
            contracts.uniques_within_events(connection, "campaigns", {"dates": dates}),
            contracts.funnel_warnings(connection, dates),
        ]

    if tick.windows:
        wait_for_writers(
            tick.connection,
            ["campaigns.campaigns", "lifecycle.enrolments"],
            tick.windows[-1].end,
            patience=tick.timeout,
        )
    counted = restatements.CAMPAIGN_DAYS
    _count(tick, lake, engine, aggregates.count_campaign_days, verify, counted)
    if tick.windows:
        last = tick.windows[-1].date
        day = campaign_daily_stats.c.date == last
        tick.metadata["preview"] = preview(tick.connection, campaign_daily_stats, day)
        tick.metadata["last_four_weeks"] = charts.daily_chart(tick.connection, last)


def _count(
    tick: Tick,
    lake: Lake,
    engine: Engine,
    count: CountRows,
    verify: Verify,
    counted: restatements.CountedAsset,
    digest: Digest | None = None,
) -> None:
    """Replaces the tick's partitions by the rows of `count`, if `verify` lets them pass.

    Args:
        digest: A digest of the rows of each partition, where others read them: a partition whose
            rows are as before makes nothing stale.
    """
    if not tick.windows:
        return
    asset = tick.partitions
    span = LakeHours(tick.connection, tick.windows[0].start, tick.windows[-1].end)
    most_rows = EVENTS_AT_ONCE if asset.grain == "hour" else EVENTS_OF_DAYS_AT_ONCE
    for windows in tick.chunks({w.key: span.rows_in(w) for w in tick.windows}, most_rows=most_rows):
        aggregates.require_exported(tick.connection, windows, tick.instant)
        with tick.replacing(windows) as replacement:
            connection = replacement.connection
            hours = LakeHours(connection, windows[0].start, windows[-1].end)
            before = _digests_before(connection, asset.key, windows, digest)
            with restatements.restating(replacement, counted, tick.context.run.run_id):
                rows_of = count(connection, windows, hours, lake, engine)
            replacement.finished(rows_of, counted.code_version)
            tick.outcomes += verify(connection, windows)
            after = digest(connection, windows) if digest and before else {}
            changed = [
                w
                for w in windows
                if (
                    before[w.key] != after.get(w.key)
                    if w.key in before
                    # The export of an hour without rows has marked the partitions above it.
                    else asset.grain != "hour" or rows_of.get(w.key)
                )
            ]
            for cause, windows_of in _by_cause(replacement, changed).items():
                propagation.mark_above(
                    connection, asset, windows_of, now=tick.instant, zone=tick.zone, cause=cause
                )


def _digests_before(
    connection: sa.Connection, asset: str, windows: Sequence[Window], digest: Digest | None
) -> dict[str, Any]:
    """The digest of each of the partitions that was done before; None where it has no rows."""
    if digest is None:
        return {}
    done = stale_partitions.finished(connection, asset, [w.key for w in windows])
    digests = digest(connection, windows) if done else {}
    return {key: digests.get(key) for key in done}
