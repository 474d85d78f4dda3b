"""The jobs of this domain."""

import datetime as dt

from marketing_pipelines import policies
from marketing_pipelines.domains.analytics import sources as analytics
from marketing_pipelines.domains.analytics.jobs import ANALYTICS, campaign_daily_stats
from marketing_pipelines.domains.campaigns import completions as completing
from marketing_pipelines.domains.campaigns import report_files, sources, tables
from marketing_pipelines.domains.campaigns.daily_reports.reporting import write_daily_reports
from marketing_pipelines.domains.campaigns.newsletter import all_organizations, fill_issue
from marketing_pipelines.domains.campaigns.starts import start_scheduled
from marketing_pipelines.domains.delivery import sources as delivery
from marketing_pipelines.domains.delivery.jobs import DELIVERY
from marketing_pipelines.domains.lifecycle import sources as lifecycle
from marketing_pipelines.domains.lifecycle.progress import make_progress
from marketing_pipelines.domains.segments.jobs import memberships
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.jobs.metadata import table_of
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.files import FileStore

MAX_ISSUES_SHOWN = 100
CAMPAIGNS = Domain("campaigns", owner=Team.LIFECYCLE)


@CAMPAIGNS.job(
    cron="*/5 * * * *",
    deps=[*lifecycle.MOVING, memberships, analytics.campaigns],
    shared=True,
    items=True,
)
def step_progress(tick: Tick) -> None:
    """Starts scheduled campaigns and moves on the due contacts of active ones."""
    with tick.sharing() as connection:
        started = start_scheduled(connection, tick.instant, tick.failures)
    tick.metadata["started"] = started
    make_progress(tick, tables.CAMPAIGN)


@CAMPAIGNS.job(
    cron="*/5 * * * *",
    deps=[*lifecycle.MOVING, memberships, sources.sequences],
    shared=True,
    items=True,
)
def sequence_progress(tick: Tick) -> None:
    """Moves on the due contacts of active sequences; unsubscribed contacts leave."""
    make_progress(tick, tables.SEQUENCE)


@CAMPAIGNS.job(
    cron="0 * * * *",
    deps=[analytics.campaigns, analytics.campaign_contacts],
    table=tables.campaigns,
    items=True,
)
def completions(tick: Tick) -> None:
    """Completes campaigns that are over, as of their last contact's finish."""
    with tick.begin(isolation="read committed") as connection:
        done = completing.complete_all(connection, tick.instant, tick.items)
    tick.rows = len(done)
    tick.metadata["completed"] = table_of(
        ("campaign", "name", "completed at"),
        [(one.campaign, one.name, f"{one.completed_at:%Y-%m-%d %H:%M} UTC") for one in done],
    )


@CAMPAIGNS.job(
    cron="30 2 * * *",
    deps=[analytics.campaigns, lifecycle.steps, step_progress, campaign_daily_stats],
    kinds={"postgres", "html"},
    items=True,
)
def reports(tick: Tick) -> None:
    """Writes an HTML report for each campaign: progress by step, reasons, days."""
    report_files.write_all(tick, FileStore.of_reports(tick.settings, "campaigns"))


@ANALYTICS.job(
    cron="0 8 * * 1-5",
    deps=[campaign_daily_stats, analytics.campaigns, delivery.messages],
    kinds={"postgres", "html"},
    items=True,
    catch_up="skip",
    skip_after=dt.timedelta(hours=6),
    # Six hours for the numbers of yesterday to come.
    retries=policies.fixed(18, 1_200),
    environments=["production"],
)
def daily_report(tick: Tick) -> None:
    """Writes a report of each organization since the working day before, and mails it to admins."""
    write_daily_reports(tick)


@DELIVERY.job(
    cron="0 9 * * 1",
    deps=[memberships, delivery.subscriptions, delivery.templates],
    table=tables.campaigns,
    items=True,
    catch_up="skip",
    skip_after=dt.timedelta(hours=6),
)
def newsletter(tick: Tick) -> None:
    """Makes the week's newsletter of each organization: a campaign for its subscribers."""
    issues = []
    with tick.begin(isolation="read committed") as connection:
        found = all_organizations(connection)
        for item in tick.items(connection, found, lambda one: f"newsletter of {one.external_id}"):
            with item as organization:
                issues.append(fill_issue(connection, organization, tick.date, tick.instant))
    tick.rows = sum(issue.added for issue in issues)
    shown = sorted(issues, key=lambda issue: (issue.campaign is None, issue.organization))
    tick.metadata["issues"] = table_of(
        ("organization", "campaign", "contacts added", "status"),
        [
            (one.organization, one.campaign or "", one.added, one.status)
            for one in shown[:MAX_ISSUES_SHOWN]
        ],
    )
