"""A code location of small jobs with clocks, for the faults of the clock.

FAULTS_CRON is the clock of `faults/once` and `faults/skip`; empty, the jobs are not on the clock.
"""

import datetime as dt
import os
from typing import Any

import dagster as dg

from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import CatchUp, scheduled

LATE = dt.timedelta(minutes=10)


def _job(name: str, cron: str, catch_up: CatchUp) -> dg.Definitions:
    @dg.asset(key=["faults", name], group_name="faults", owners=["team:faults"])
    def asset(context: dg.AssetExecutionContext, postgres: Postgres) -> dg.MaterializeResult[Any]:
        with postgres.tick(context) as tick, tick.begin():
            pass
        return tick.result()

    schedules = []
    if cron:
        schedules.append(scheduled(asset, cron=cron, catch_up=catch_up, skip_after=LATE))
    return dg.Definitions(assets=[asset], schedules=schedules)


_CRON = os.environ.get("FAULTS_CRON", "0 * * * *")
defs = dg.Definitions.merge(
    dg.Definitions(resources={"postgres": Postgres()}, executor=dg.in_process_executor),
    _job("once", _CRON, "once"),
    _job("skip", _CRON, "skip"),
    _job("monthly", _CRON and "0 3 1 * *", "once"),
)
