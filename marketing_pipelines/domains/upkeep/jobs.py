"""The assets of this domain, each followed by its clock."""

from typing import Any

import dagster as dg

from marketing_pipelines.domains.upkeep import sources
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import scheduled
from marketing_pipelines.queueing import control, queues
from marketing_pipelines.runs.history import KEPT, purge_runs

COMMON: dict[str, Any] = {"group_name": "upkeep", "owners": ["team:platform"]}
PRODUCTION = ("production",)


@dg.asset(key=["upkeep", "queue_history"], deps=[sources.tasks], kinds={"postgres"}, **COMMON)
def queue_history(
    context: dg.AssetExecutionContext, postgres: Postgres
) -> dg.MaterializeResult[Any]:
    """Finished tasks, as long and as many as their queue keeps; dead letters stay."""
    removed: dict[str, int] = {}
    with postgres.tick(context) as tick:
        for queue in queues.declared().values():
            removed[queue.name] = 0
            while True:
                with tick.begin() as connection:
                    batch = control.remove_history(connection, queue, tick.instant)
                removed[queue.name] += batch
                if batch < control.BATCH:
                    break
        tick.rows = sum(removed.values())
    return tick.result(removed=removed)


queue_history_schedule = scheduled(queue_history, cron="0 0 * * *", environments=PRODUCTION)


@dg.asset(key=["upkeep", "run_history"], deps=[sources.runs], kinds={"postgres"}, **COMMON)
def run_history(context: dg.AssetExecutionContext, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """Dagster's runs of the last week; older ones that worked no partition are removed."""
    with postgres.tick(context) as tick:
        # Takes the job's lock; no transaction stays open while Dagster's storage is purged.
        with tick.begin():
            pass
        tick.rows = purge_runs(context.instance, before=tick.instant - KEPT)
    return tick.result()


run_history_schedule = scheduled(run_history, cron="0 1 * * *")
