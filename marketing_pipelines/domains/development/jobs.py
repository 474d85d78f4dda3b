"""The assets of this domain, each followed by its clock."""

from typing import Any

import dagster as dg

from marketing_pipelines.domains.crm import sources
from marketing_pipelines.domains.development.sample import count_contacts
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import scheduled


@dg.asset(
    key=["development", "sample_job"],
    group_name="development",
    owners=["team:platform"],
    deps=[sources.contacts],
    kinds={"postgres"},
)
def sample_job(context: dg.AssetExecutionContext, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """Contacts per organization, counted: the template of a job."""
    counted: dict[str, int] = {}
    with postgres.tick(context) as tick, tick.begin() as connection:
        counted = count_contacts(connection)
        tick.rows = sum(counted.values())
    return tick.result(contacts=counted)


sample_job_schedule = scheduled(sample_job, cron="0 */4 * * *", environments=["development"])
