"""What each asset does with its partitions: chunk by chunk, read, write, verify, mark."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.analytics import aggregates, contracts, export, presentation
from marketing_pipelines.domains.analytics.contracts import Outcome
from marketing_pipelines.domains.analytics.manifest import LakeHours
from marketing_pipelines.domains.analytics.partitions import (
    CAMPAIGN_DAILY_STATS,
    CONTACT_ACTIVITY,
    EVENT_AGGREGATES,
    HOURLY_EVENTS,
    MONTHLY_USAGE,
)
from marketing_pipelines.domains.analytics.tables import (
    campaign_daily_stats,
    event_aggregates,
    hourly_events,
)
from marketing_pipelines.engines.protocol import Engine
from marketing_pipelines.freshness import propagation, stale_partitions
from marketing_pipelines.freshness.partitions import PartitionedAsset, Window
from marketing_pipelines.freshness.writer_barrier import require_over, wait_for_writers
from marketing_pipelines.jobs.metadata import preview
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.lake import Lake

# Hours are exported and counted by one statement for all, days and months by one statement each.
EVENTS_AT_ONCE = 2_000_000
EVENTS_OF_DAYS_AT_ONCE = 20_000_000
Count = Callable[..., dict[str, int]]
Hold = Callable[[sa.Connection, Sequence[Window]], dict[str, Any]]
Verify = Callable[[sa.Connection, Sequence[Window]], list[Outcome]]


def do_export(tick: Tick, lake: Lake) -> list[Outcome]:
    """Exports the tick's hours and marks what reads those that changed."""
    outcomes: list[Outcome] = []
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
                _mark_above_hours(tick, replacement.connection, done)
                replacement.after_commit += [partial(lake.remove, hour) for hour in done.emptied]
            outcomes += [
                Outcome("rows_match_source", passed=True),
                Outcome(
                    "received_after_occurred",
                    passed=not done.received_early,
                    blocking=False,
                    details={"events": done.received_early},
                ),
            ]
    return outcomes


def _mark_above_hours(tick: Tick, connection: sa.Connection, done: export.Export) -> None:
    """An hour that is new and empty restates only what was counted without it."""
    in_this_run = [HOURLY_EVENTS.key] if tick.does_next(HOURLY_EVENTS.key) else []
    for hours, never_done_too in ((done.changed, True), (done.new_and_empty, False)):
        propagation.mark_above(
            connection,
            CONTACT_ACTIVITY,
            hours,
            now=tick.instant,
            zone=tick.zone,
            never_done_too=never_done_too,
            in_this_run=in_this_run,
        )


def do_hours(tick: Tick, lake: Lake, engine: Engine) -> list[Outcome]:
    """Counts the tick's hours."""

    def verify(connection: sa.Connection, hours: Sequence[Window]) -> list[Outcome]:
        span = {"start": hours[0].start, "end": hours[-1].end}
        return [contracts.uniques_within_events(connection, "hourly", span)]

    outcomes = _count(
        tick, HOURLY_EVENTS, lake, engine, aggregates.count_hours, verify, aggregates.hours_hold
    )
    if tick.windows:
        hour = hourly_events.c.hour == tick.windows[-1].start
        tick.metadata["preview"] = preview(tick.connection, hourly_events, hour)
    return outcomes


def do_days(tick: Tick, lake: Lake, engine: Engine) -> list[Outcome]:
    """Counts the tick's days."""

    def verify(connection: sa.Connection, days: Sequence[Window]) -> list[Outcome]:
        dates = {"dates": [w.date for w in days]}
        return [
            contracts.uniques_within_events(connection, "daily", dates),
            contracts.hours_add_up_to_days(
                connection, days, [CONTACT_ACTIVITY.key, HOURLY_EVENTS.key]
            ),
        ]

    outcomes = _count(
        tick, EVENT_AGGREGATES, lake, engine, aggregates.count_days, verify, aggregates.days_hold
    )
    if tick.windows:
        day = event_aggregates.c.date == tick.windows[-1].date
        tick.metadata["preview"] = preview(tick.connection, event_aggregates, day)
    return outcomes


def do_months(tick: Tick, lake: Lake, engine: Engine) -> list[Outcome]:
    """Counts the tick's months."""

    def verify(connection: sa.Connection, months: Sequence[Window]) -> list[Outcome]:
        dates = {"dates": [w.date for w in months]}
        return [
            contracts.uniques_within_events(connection, "daily", dates),
            contracts.days_add_up_to_months(
                connection,
                months,
                [CONTACT_ACTIVITY.key, HOURLY_EVENTS.key, EVENT_AGGREGATES.key],
            ),
        ]

    outcomes = _count(tick, MONTHLY_USAGE, lake, engine, aggregates.count_months, verify)
    if tick.windows:
        month = sa.and_(
            event_aggregates.c.date == tick.windows[-1].date,
            event_aggregates.c.event_type.like(f"{aggregates.MONTHLY_PREFIX}%"),
        )
        tick.metadata["preview"] = preview(tick.connection, event_aggregates, month)
    return outcomes


def do_campaign_days(tick: Tick, lake: Lake, engine: Engine) -> list[Outcome]:
    """Counts the tick's days per campaign."""

    def verify(connection: sa.Connection, days: Sequence[Window]) -> list[Outcome]:
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
    outcomes = _count(
        tick, CAMPAIGN_DAILY_STATS, lake, engine, aggregates.count_campaign_days, verify
    )
    if tick.windows:
        last = tick.windows[-1].date
        day = campaign_daily_stats.c.date == last
        tick.metadata["preview"] = preview(tick.connection, campaign_daily_stats, day)
        tick.metadata["last_four_weeks"] = presentation.daily_chart(tick.connection, last)
    return outcomes


def _count(
    tick: Tick,
    asset: PartitionedAsset,
    lake: Lake,
    engine: Engine,
    count: Count,
    verify: Verify,
    hold: Hold | None = None,
) -> list[Outcome]:
    """Replaces the tick's partitions by what `count` counts and `verify` lets pass.

    Args:
        hold: A digest of the rows of each partition, where others read them: those whose rows are
            as before make nothing stale.
    """
    outcomes: list[Outcome] = []
    if not tick.windows:
        return outcomes
    span = LakeHours(tick.connection, tick.windows[0].start, tick.windows[-1].end)
    most_rows = EVENTS_AT_ONCE if asset.grain == "hour" else EVENTS_OF_DAYS_AT_ONCE
    for windows in tick.chunks({w.key: span.rows_in(w) for w in tick.windows}, most_rows=most_rows):
        aggregates.require_exported(tick.connection, windows, tick.instant)
        with tick.replacing(windows) as replacement:
            connection = replacement.connection
            hours = LakeHours(connection, windows[0].start, windows[-1].end)
            held = _held(connection, asset, windows, hold)
            rows_of = count(connection, windows, hours, lake, engine)
            replacement.finished(rows_of)
            outcomes += verify(connection, windows)
            now_held = hold(connection, windows) if hold and held else {}
            changed = [
                w
                for w in windows
                if (
                    held[w.key] != now_held.get(w.key)
                    if w.key in held
                    # What an hour without rows makes stale, its export has marked.
                    else asset.grain != "hour" or rows_of.get(w.key)
                )
            ]
            propagation.mark_above(connection, asset, changed, now=tick.instant, zone=tick.zone)
    return outcomes


def _held(
    connection: sa.Connection, asset: PartitionedAsset, windows: Sequence[Window], hold: Hold | None
) -> dict[str, Any]:
    """The digest of each of the partitions that was done before; None where it has no rows."""
    if hold is None:
        return {}
    done = stale_partitions.finished(connection, asset.key, [w.key for w in windows])
    digests = hold(connection, windows) if done else {}
    return {key: digests.get(key) for key in done}
