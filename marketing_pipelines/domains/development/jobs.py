"""The jobs of this domain."""

from marketing_pipelines.domains.crm import sources
from marketing_pipelines.domains.development.sample import count_contacts
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
