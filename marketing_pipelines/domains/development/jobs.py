"""The jobs of this domain."""

import datetime as dt

from marketing_pipelines.domains.analytics import sources as analytics
from marketing_pipelines.domains.crm import sources
from marketing_pipelines.domains.development import debug_metrics as debugging
from marketing_pipelines.domains.development import test_data as activity
from marketing_pipelines.domains.development.sample import count_contacts
from marketing_pipelines.domains.operations import sources as operations
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tick import Tick

DEVELOPMENT = Domain("development", owner=Team.PLATFORM)


@DEVELOPMENT.job(cron="0 */4 * * *", deps=[sources.contacts], environments=["development"])
def sample_job(tick: Tick) -> None:
    """Counts the contacts of each organization: the template of a job."""
    with tick.begin() as connection:
        tick.metadata["contacts"] = counted = count_contacts(connection)
        tick.rows = sum(counted.values())


@DEVELOPMENT.job(
    cron="0 * * * *",
    deps=[sources.contacts, analytics.events],
    items=True,
    catch_up="skip",
    environments=["development"],
)
def test_data(tick: Tick) -> None:
    """Makes up an hour of activity of the contacts of the demo's organizations."""
    activity.add_activity(tick)


@DEVELOPMENT.job(
    cron="*/15 * * * *",
    deps=[operations.sessions],
    catch_up="skip",
    timeout=dt.timedelta(minutes=2),
    environments=["development"],
)
def debug_metrics(tick: Tick) -> None:
    """Prints queues, lags and sizes as the metrics have them."""
    debugging.print_metrics(tick)
