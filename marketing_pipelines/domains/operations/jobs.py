"""The jobs of this domain."""

import datetime as dt
from typing import Any

from marketing_pipelines import policies
from marketing_pipelines.domains.operations import sources
from marketing_pipelines.domains.operations.records import keep_report, keep_samples
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.observability import health as verdict
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tick import Tick

OPERATIONS = Domain("operations", owner=Team.PLATFORM)
SHORT: dict[str, Any] = {
    "deps": [sources.sessions],
    "catch_up": "skip",
    "timeout": dt.timedelta(minutes=2),
    "retries": policies.fixed(2, 5),
}


@OPERATIONS.job(cron="*/5 * * * *", **SHORT)
def health(tick: Tick) -> None:
    """Keeps the health verdict of this moment, with the numbers behind it."""
    with tick.begin() as connection:
        report = verdict.report(connection, tick.context.instance, tick.instant)
        keep_report(connection, tick.instant, report)
    tick.rows = 1
    tick.metadata |= report.as_dict()


@OPERATIONS.job(cron="0 * * * *", **SHORT)
def metrics(tick: Tick) -> None:
    """Keeps the queues, lags and sizes of this hour, for charts over months."""
    from marketing_pipelines.observability import metrics as measured

    with tick.begin() as connection:
        samples = measured.samples(connection, tick.instant)
        tick.rows = keep_samples(connection, tick.instant, samples)
