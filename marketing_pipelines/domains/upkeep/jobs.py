"""The assets of this domain, each followed by its clock."""

from typing import Any

import dagster as dg

from marketing_pipelines.domains.upkeep.run_history import KEPT, purge_runs
from marketing_pipelines.resources import Postgres
from marketing_pipelines.scheduling import scheduled


@dg.asset(
    key=["upkeep", "run_history"],
    group_name="upkeep",
    owners=["team:platform"],
    kinds={"postgres"},
)
def run_history(context: dg.AssetExecutionContext, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """Dagster's runs of the last week; older ones that worked no partition are removed."""
    with postgres.tick(context) as tick, tick.begin():
        tick.rows = purge_runs(context.instance, before=tick.instant - KEPT)
    return tick.result()


run_history_schedule = scheduled(run_history, cron="0 1 * * *")
