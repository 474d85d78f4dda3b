"""How the assets of this domain show themselves in the Dagster UI: their checks and a chart."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines.domains.analytics import contracts
from marketing_pipelines.domains.analytics.partitions import (
    CAMPAIGN_DAILY_STATS,
    CONTACT_ACTIVITY,
    EVENT_AGGREGATES,
    HOURLY_EVENTS,
    MONTHLY_USAGE,
)
from marketing_pipelines.domains.analytics.tables import campaign_daily_stats
from marketing_pipelines.freshness.partitions import PartitionedAsset
from marketing_pipelines.jobs.metadata import line_chart
from marketing_pipelines.runs.tick import Tick

CHART_DAYS = 28
DRAWN = ("sent", "delivered", "opened", "clicked")
FRESH_WITHIN = {
    "hour": dt.timedelta(hours=3),
    "day": dt.timedelta(hours=30),
    "month": dt.timedelta(days=33),
}
CHECKS = {
    "rows_match_source": (True, "As many events in the files as in the table"),
    "received_after_occurred": (False, "No event was received before it happened"),
    "uniques_within_events": (True, "Never more contacts than events"),
    "hours_add_up": (True, "The hours' events add up to the day's"),
    "days_add_up": (True, "The days' events add up to the month's"),
    "funnel_is_plausible": (False, "Delivered ≤ sent; opens and clicks only of what was sent"),
}


CHECKS_OF = {
    CONTACT_ACTIVITY.key: ("rows_match_source", "received_after_occurred"),
    HOURLY_EVENTS.key: ("uniques_within_events",),
    EVENT_AGGREGATES.key: ("uniques_within_events", "hours_add_up"),
    CAMPAIGN_DAILY_STATS.key: ("uniques_within_events", "funnel_is_plausible"),
    MONTHLY_USAGE.key: ("uniques_within_events", "days_add_up"),
}


def check_specs(asset: PartitionedAsset) -> list[dg.AssetCheckSpec]:
    """The checks that the asset's own run reports."""
    key = dg.AssetKey(asset.key.split("/"))
    return [
        dg.AssetCheckSpec(name, asset=key, blocking=CHECKS[name][0], description=CHECKS[name][1])
        for name in CHECKS_OF[asset.key]
    ]


def fresh_within(asset: PartitionedAsset) -> dg.FreshnessPolicy:
    """When the asset counts as overdue."""
    fail = FRESH_WITHIN["hour" if asset.running else asset.grain]
    return dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=fail * 2 / 3)


def presented(
    tick: Tick, asset: PartitionedAsset, outcomes: Sequence[contracts.Outcome]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """The asset's result with a result for each of its checks.

    A run that left the work to another made nothing: it has no result, its checks say so, and
    what would follow in the same run is skipped.
    """
    if tick.skipped is not None:
        for name in CHECKS_OF[asset.key]:
            yield dg.AssetCheckResult(
                check_name=name,
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"Not verified here: run {tick.skipped} does the work.",
            )
        return
    found = {outcome.name: outcome for outcome in contracts.merged(outcomes)}
    results = [
        _check_result(found.get(name) or contracts.Outcome(name, passed=True))
        for name in CHECKS_OF[asset.key]
    ]
    yield tick.result()._replace(check_results=results)


def daily_chart(connection: sa.Connection, until: dt.date) -> Any:
    """Sent, delivered, opened and clicked per day over the four weeks to `until`, as an image."""
    stats = campaign_daily_stats.c
    rows = connection.execute(
        sa.select(
            stats.date,
            *(sa.func.sum(stats[name]) for name in DRAWN),
        )
        .where(stats.date > until - dt.timedelta(days=CHART_DAYS), stats.date <= until)
        .group_by(stats.date)
        .order_by(stats.date)
    ).all()
    days = [row[0] for row in rows]
    return line_chart(
        [
            (name, days, [int(row[position]) for row in rows])
            for position, name in enumerate(DRAWN, start=1)
        ],
        "events per day",
    )


def _check_result(outcome: contracts.Outcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=outcome.name,
        passed=outcome.passed,
        severity=(dg.AssetCheckSeverity.ERROR if outcome.blocking else dg.AssetCheckSeverity.WARN),
        metadata=dict(outcome.details),
    )
