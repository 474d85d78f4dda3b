"""The job that takes due actions."""

import datetime as dt
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.actions import sources, tables
from marketing_pipelines.domains.actions.taking import start_jobs, take_due
from marketing_pipelines.domains.actions.tasks import route
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.jobs.launching import AlreadyRunningError, Launcher
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tick import Tick

ACTIONS = Domain("actions", owner=Team.PLATFORM)


@ACTIONS.job(
    by_sensor=True,
    deps=[sources.routes],
    table=tables.scheduled_actions,
    items=True,
    shared=True,
    timeout=dt.timedelta(minutes=5),
)
def scheduled_actions(tick: Tick, launcher: Launcher) -> None:
    """Takes due actions to the tasks and jobs of their routes, each due time once for each route.

    At most 10,000 in a run; a sensor asks for the next run while any are due.
    """
    tick.rows = take_due(tick.sharing, tick.instant, route)

    def start(job: str, run_id: str) -> None:
        try:
            launcher.launch_latest(
                job,
                settings=tick.settings,
                engine=tick.connection.engine,
                instance=tick.context.instance,
                now=tick.instant,
                run_id=run_id,
            )
        except AlreadyRunningError:
            # The run under way does the work.
            return

    def attempt(connection: sa.Connection, row: Any) -> Any:
        return tick.items(connection, [row], lambda _: f"job {row.name}")

    start_jobs(tick.sharing, start, attempt)
