"""Writes the reports of a tick, and queues their mails."""

import json
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.daily_reports.numbers import (
    DailyReport,
    ReportPeriod,
    read_reports,
)
from marketing_pipelines.domains.campaigns.daily_reports.pages import mail_variables, render_page
from marketing_pipelines.domains.campaigns.daily_reports.picture import draw
from marketing_pipelines.domains.campaigns.reports import read_sql, safe_name
from marketing_pipelines.domains.campaigns.tables import campaigns
from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.delivery import contents
from marketing_pipelines.domains.delivery.named_templates.catalog import Catalog, Wanted
from marketing_pipelines.domains.delivery.notify import notify_workers
from marketing_pipelines.failures import UpstreamNotReadyError
from marketing_pipelines.jobs.metadata import path_of, table_of
from marketing_pipelines.runs.tags import trigger_of
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.tables import finished_partitions

DAYS = "analytics/campaign_daily_stats"
TEMPLATE = "daily_report"
MAX_SHOWN = 50


def write_daily_reports(tick: Tick) -> None:
    """Writes page and picture of each organization; a run by hand mails nothing.

    Raises:
        UpstreamNotReadyError: the last day of the period is not counted yet.
    """
    files = FileStore.of_reports(tick.settings, "daily")
    period = ReportPeriod.before(tick.date)
    mailing = trigger_of(tick.context.run.tags) != "manual"
    shown: list[tuple[Any, ...]] = []
    mails = 0
    with tick.begin() as connection:
        _wait_for_numbers(connection, period)
        for item in tick.items(connection, read_reports(connection, period, tick.zone)):
            with item as report:
                if report.is_empty and not _sends_empty(connection, report):
                    continue
                path = f"{safe_name(report.external_id)}/{period.last}"
                files.replace(f"{path}.html", render_page(report).encode())
                files.replace(f"{path}.png", draw(report))
                queued = _queue(connection, report, tick) if mailing else 0
                mails += queued
                shown.append((report.name, report.total["sent"], queued, files.place(path)))
    tick.rows = len(shown)
    tick.metadata |= {
        "period": str(period),
        "mails": mails,
        "reports": table_of(("organization", "sent", "mails", "page"), shown[:MAX_SHOWN]),
        "folder": path_of(files.url),
    }


def _wait_for_numbers(connection: sa.Connection, period: ReportPeriod) -> None:
    counted = sa.exists().where(
        finished_partitions.c.asset == DAYS,
        finished_partitions.c.partition == str(period.last),
    )
    if connection.scalar(sa.select(~counted & sa.exists().where(campaigns.c.id > 0))):
        raise UpstreamNotReadyError(
            f"{DAYS} has not counted {period.last} yet: the report waits for it."
        )


def _sends_empty(connection: sa.Connection, report: DailyReport) -> bool:
    return settings_of(connection, report.organization_id).reports.send_empty


def _queue(connection: sa.Connection, report: DailyReport, tick: Tick) -> int:
    organization_id = report.organization_id
    catalog = Catalog.read(connection, [organization_id], [TEMPLATE])
    outgoing = catalog.outgoing(
        organization_id, Wanted("email", template=TEMPLATE, kind="transactional")
    )
    stored = contents.store(connection, {0: (organization_id, outgoing.content)})
    queued = connection.execute(
        read_sql("queue_daily_reports"),
        {
            "organization_id": organization_id,
            "priority": outgoing.priority,
            "domain_id": outgoing.domain_id,
            "content_id": stored[0],
            "variables": json.dumps(mail_variables(report)),
            "tick": tick.instant,
            "last": report.period.last,
        },
    ).rowcount
    if queued:
        notify_workers(connection, ["email"])
    return queued
