"""The assets of this domain, each followed by its clock."""

import datetime as dt
from typing import Any

import dagster as dg

from marketing_pipelines import policies
from marketing_pipelines.domains.operations import sources
from marketing_pipelines.domains.operations.records import keep_report, keep_samples
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import scheduled
from marketing_pipelines.observability import health as verdict
from marketing_pipelines.observability import metrics as measured

COMMON: dict[str, Any] = {
    "group_name": "operations",
    "owners": ["team:platform"],
    "deps": [sources.sessions],
    "kinds": {"postgres"},
}
SHORT: dict[str, Any] = {
    "catch_up": "skip",
    "timeout": dt.timedelta(minutes=2),
    "retries": policies.fixed(2, 5),
}


@dg.asset(key=["operations", "health"], **COMMON)
def health(context: dg.AssetExecutionContext, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """Whether the machinery does its work, in one word, with the numbers behind it."""
    report: dict[str, Any] = {}
    with postgres.tick(context) as tick, tick.begin() as connection:
        found = verdict.report(connection, context.instance, tick.instant)
        keep_report(connection, tick.instant, found)
        tick.rows = 1
        report = found.as_dict()
    return tick.result(**report)


health_schedule = scheduled(health, cron="*/5 * * * *", **SHORT)


@dg.asset(key=["operations", "metrics"], **COMMON)
def metrics(context: dg.AssetExecutionContext, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """Queues, lags and sizes of this hour, kept for charts over months."""
    with postgres.tick(context) as tick, tick.begin() as connection:
        samples = measured.samples(connection, tick.instant)
        tick.rows = keep_samples(connection, tick.instant, samples)
    return tick.result()


metrics_schedule = scheduled(metrics, cron="0 * * * *", **SHORT)
