"""The jobs of this domain."""

import datetime as dt

from marketing_pipelines import policies
from marketing_pipelines.domains.analytics import sources as analytics
from marketing_pipelines.domains.crm import sources as crm
from marketing_pipelines.domains.crm.timeline import tables as timeline
from marketing_pipelines.domains.integrations.jobs import contact_enrichment
from marketing_pipelines.domains.leads import passes, sources, tables
from marketing_pipelines.domains.leads.stages import passes as stages
from marketing_pipelines.domains.leads.stages.tables import lead_recycling, lifecycle_history
from marketing_pipelines.jobs.domain import Domain, partitions_of
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tick import Tick

LEADS = Domain("leads", owner=Team.REVENUE)


@LEADS.job(
    cron="0 2 * * *",
    partitions="day",
    deps=[analytics.events],
    table=tables.intent_days,
    items=True,
)
def intent_scores(tick: Tick) -> None:
    """Stores the intent scores of contacts at each day's end, and their present score and band."""
    passes.score_intent(tick)


@LEADS.job(cron="0 * * * *", deps=[analytics.events, crm.contacts], items=True)
def new_signals(tick: Tick) -> None:
    """Scores the contacts of new signals of interest; marks the days that late ones change."""
    passes.score_new_signals(tick, partitions_of(intent_scores))


@LEADS.job(
    cron="0 2 * * *",
    partitions="day",
    deps=[crm.opportunities],
    table=tables.opportunity_points,
    items=True,
    timeout=dt.timedelta(minutes=10),
    retries=policies.exponential(2, 1),
)
def opportunity_scores(tick: Tick) -> None:
    """Adds the points of each day to the ledger of opportunities whose travel is near."""
    passes.score_opportunities(tick)


@LEADS.job(
    cron="30 2 * * *",
    deps=[sources.score_rules, contact_enrichment, crm.contacts, analytics.events],
    items=True,
)
def lead_scores(tick: Tick) -> None:
    """Scores and grades contacts by the score rules."""
    passes.score_leads(tick)


@LEADS.job(
    cron="0 */2 * * *",
    deps=[analytics.events, crm.contacts],
    table=lifecycle_history,
    items=True,
)
def lifecycle_stages(tick: Tick) -> None:
    """Moves contacts to their next lifecycle stages by the rules of their organizations."""
    stages.move_stages(tick)


@LEADS.job(
    cron="0 9 * * *",
    deps=[analytics.events, crm.contacts],
    table=lead_recycling,
    items=True,
)
def recycled_leads(tick: Tick) -> None:
    """Brings lost leads back that show interest again: a sequence and a task for the owner."""
    stages.recycle_leads(tick)


@LEADS.job(cron="0 */2 * * *", deps=[crm.contacts], table=timeline.tasks, items=True)
def follow_ups(tick: Tick) -> None:
    """Writes a task and a notification for each date of a follow-up that has come."""
    stages.write_follow_ups(tick)
