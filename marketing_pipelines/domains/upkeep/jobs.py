"""The jobs of this domain."""

from marketing_pipelines.domains.upkeep import sources
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.queueing import control
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.history import KEPT, purge_runs
from marketing_pipelines.runs.tick import Tick

UPKEEP = Domain("upkeep", owner=Team.PLATFORM)


@UPKEEP.job(cron="0 0 * * *", deps=[sources.tasks], environments=["production"])
def queue_history(tick: Tick) -> None:
    """Removes finished tasks beyond what their queue keeps; dead letters stay."""
    removed = control.remove_all_history(tick.begin, tick.instant)
    tick.rows = sum(removed.values())
    tick.metadata["removed"] = removed


@UPKEEP.job(cron="0 1 * * *", deps=[sources.runs])
def run_history(tick: Tick) -> None:
    """Removes Dagster's runs of more than a week ago that worked no partition."""
    tick.rows = purge_runs(tick.context.instance, before=tick.instant - KEPT)
