"""The jobs of this domain; their assets are named after the rows that they write."""

import datetime as dt

from marketing_pipelines import policies
from marketing_pipelines.domains.crm import sources as crm
from marketing_pipelines.domains.crm.destinations.tables import destinations
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.integrations import contact_enrichment as enrichment
from marketing_pipelines.domains.integrations import credentials as nightly
from marketing_pipelines.domains.integrations import leadsquared as leads
from marketing_pipelines.domains.integrations import sources
from marketing_pipelines.domains.integrations import web_urls as pages
from marketing_pipelines.domains.integrations.tables import connections
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tick import Tick

LEADS = Domain("leads", owner=Team.REVENUE)
INTEGRATIONS = Domain("integrations", owner=Team.PLATFORM)


@LEADS.job(cron="0 2 * * *", deps=[sources.connections, crm.contacts], table=contacts, items=True)
def contact_enrichment(tick: Tick) -> None:
    """Completes contacts with the data of an enrichment provider about their addresses."""
    enrichment.enrich(tick)


@LEADS.job(
    cron="0 9 * * *",
    deps=[sources.connections],
    table=destinations,
    items=True,
    timeout=dt.timedelta(minutes=5),
    retries=policies.exponential(3, 1),
)
def web_urls(tick: Tick) -> None:
    """Reads the web pages of destinations from content services, and marks those that are gone."""
    pages.fetch(tick)


@LEADS.job(cron="*/15 * * * *", deps=[sources.connections], table=contacts, items=True)
def leadsquared(tick: Tick) -> None:
    """Reads the leads that were modified in LeadSquared since the last time, as contacts."""
    leads.pull(tick)


@INTEGRATIONS.job(cron="0 3 * * *", deps=[sources.connections], table=connections, items=True)
def credentials(tick: Tick) -> None:
    """Refreshes the grants that were not refreshed for a day, or that end soon."""
    nightly.refresh_due(tick)
