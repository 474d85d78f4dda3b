"""The jobs of this domain, and `proactive_ai`, which runs those that assist users in one run."""

import dagster as dg

from marketing_pipelines.domains.analytics.jobs import AFTER_ITS_SOURCES, campaign_daily_stats
from marketing_pipelines.domains.crm import sources
from marketing_pipelines.domains.sales import stale, tables
from marketing_pipelines.domains.sales.briefs import writing
from marketing_pipelines.domains.sales.daily import insights, pages
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tags import DOMAIN_TAG, OWNER_TAG
from marketing_pipelines.runs.tick import Tick

SALES = Domain("sales", owner=Team.REVENUE)


@SALES.job(
    cron="0 9 * * *",
    deps=[sources.deals, sources.activities, sources.meetings],
    table=tables.stale_deals,
    items=True,
)
def stale_deals(tick: Tick) -> None:
    """Finds open deals without activity: one task and notification per period, then the admins."""
    stale.find_stale_deals(tick)


@SALES.job(
    cron="*/30 * * * *",
    deps=[sources.meetings, sources.contacts, sources.deals, sources.activities],
    table=tables.meeting_briefs,
    items=True,
)
def meeting_briefs(tick: Tick) -> None:
    """Writes a brief of each meeting that begins in 30 to 60 minutes, and notifies its owner."""
    writing.write_briefs(tick)


@SALES.job(
    cron="0 8 * * *",
    deps=[sources.contacts, sources.deals, sources.activities, campaign_daily_stats],
    table=tables.insights,
    items=True,
)
def daily_insights(tick: Tick) -> None:
    """Describes yesterday for each organization, and notifies its admins."""
    insights.write_insights(tick)


@SALES.job(
    deps=[daily_insights],
    automation=AFTER_ITS_SOURCES,
    kinds={"postgres", "html"},
    items=True,
)
def insight_pages(tick: Tick) -> None:
    """Writes an HTML page with charts for each insight that has none, or another one."""
    pages.write_pages(tick)


proactive_ai = dg.define_asset_job(
    "proactive_ai",
    selection=[meeting_briefs, stale_deals, daily_insights],
    run_tags={OWNER_TAG: Team.REVENUE.value, DOMAIN_TAG: SALES.name},
    description="Meeting briefs, stale deals and daily insights in one run; it has no clock.",
)
