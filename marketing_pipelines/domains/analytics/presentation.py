"""How the assets of this domain show themselves in the Dagster UI: checks, columns, previews."""

import base64
import datetime as dt
import io
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
from marketing_pipelines.partitions import PartitionedAsset
from marketing_pipelines.stores.ticks import Tick

PREVIEW_ROWS = 8
CHART_DAYS = 28
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


def column_descriptions(table: sa.Table) -> dict[str, Any]:
    """The table's columns with their SQL comments, for the asset's page."""
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(column.name, str(column.type), description=column.comment)
                for column in table.columns
            ]
        ),
        "dagster/table_name": table.fullname,
    }


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


def preview(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> Any:
    """The first rows of what was written, as a table."""
    rows = connection.execute(sa.select(table).where(where).limit(PREVIEW_ROWS)).all()
    header = [column.name for column in table.columns]
    lines = [header, ["---"] * len(header), *([str(value) for value in row] for row in rows)]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def daily_chart(connection: sa.Connection, until: dt.date) -> Any:
    """Sent, delivered, opened and clicked per day over the four weeks to `until`, as an image."""
    from matplotlib.figure import Figure

    stats = campaign_daily_stats.c
    rows = connection.execute(
        sa.select(
            stats.date,
            *(sa.func.sum(stats[name]) for name in ("sent", "delivered", "opened", "clicked")),
        )
        .where(stats.date > until - dt.timedelta(days=CHART_DAYS), stats.date <= until)
        .group_by(stats.date)
        .order_by(stats.date)
    ).all()
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    for position, name in enumerate(("sent", "delivered", "opened", "clicked"), start=1):
        axes.plot([row[0] for row in rows], [int(row[position]) for row in rows], label=name)
    axes.set_ylabel("events per day")
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", rotation=30)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=80)
    encoded = base64.b64encode(image.getvalue()).decode()
    return dg.MetadataValue.md(f"![events per day](data:image/png;base64,{encoded})")


def _check_result(outcome: contracts.Outcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=outcome.name,
        passed=outcome.passed,
        severity=(dg.AssetCheckSeverity.ERROR if outcome.blocking else dg.AssetCheckSeverity.WARN),
        metadata=dict(outcome.details),
    )
