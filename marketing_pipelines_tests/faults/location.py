"""A code location of small jobs with clocks, for the faults of the clock.

FAULTS_CRON is the clock of `faults/once`; empty, no job is on the clock. Where FAULTS_SKIP is set,
it is the clock of `faults/skip`, too.
"""

import datetime as dt
import os

import dagster as dg

from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import jobs_and_schedules
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tick import Tick

FAULTS = Domain("faults", owner=Team.PLATFORM)
LATE = dt.timedelta(minutes=10)
_CRON = os.environ.get("FAULTS_CRON", "0 * * * *") or None


@FAULTS.job(cron=_CRON, catch_up="once")
def once(tick: Tick) -> None:
    """Does nothing; missed ticks are caught up by one run."""


@FAULTS.job(cron=_CRON if os.environ.get("FAULTS_SKIP") else None, catch_up="skip", skip_after=LATE)
def skip(tick: Tick) -> None:
    """Does nothing; missed ticks are left out."""


@FAULTS.job(cron=_CRON and "0 3 1 * *", catch_up="once")
def monthly(tick: Tick) -> None:
    """Does nothing, once a month."""


_jobs, _schedules = jobs_and_schedules()
defs = dg.Definitions(
    assets=[once, skip, monthly],
    jobs=_jobs,
    schedules=_schedules,
    resources={"postgres": Postgres()},
    executor=dg.in_process_executor,
)
