"""A daily report as a page that needs nothing but itself, and as the variables of its mail."""

import datetime as dt
from typing import Any

from marketing_pipelines.domains.campaigns.daily_reports.numbers import MAIL, DailyReport, Mails
from marketing_pipelines.domains.campaigns.reports import page_environment

TITLES = {name: name.capitalize() for name in MAIL}
IN_MAIL = ("sent", "opened", "clicked", "bounced")
MAX_CAMPAIGNS_IN_MAIL, MAX_FAILING_IN_MAIL = 20, 10


def render_page(report: DailyReport) -> str:
    """The page with all numbers."""
    page: str = (
        page_environment()
        .get_template("daily_report.html")
        .render(report=report, titles=TITLES, percent=percent)
    )
    return page


def mail_variables(report: DailyReport) -> dict[str, Any]:
    """The texts of the mail; the numbers are those of the page."""
    shown = report.campaigns[:MAX_CAMPAIGNS_IN_MAIL]
    return {
        "title": f"Daily report – {days_of(report)}",
        "organization": report.name,
        "totals": [{"name": TITLES[name], "text": _with_rate(report.total, name)} for name in MAIL],
        "before": f"{report.total_before['sent']:,} sent a week before",
        "campaigns": [
            {"name": one.name} | {name: _with_rate(one.mails, name) for name in IN_MAIL}
            for one in shown
        ],
        "more": len(report.campaigns) - len(shown),
        "contacts": f"{report.new_contacts:,}",
        "messages": ", ".join(f"{number:,} {state}" for state, number in report.messages.items()),
        "failing": report.failing[:MAX_FAILING_IN_MAIL],
    }


def days_of(report: DailyReport) -> str:
    """The period as people read it."""
    first, last = report.period.first, report.period.last
    ends = f"{_day(last)}, {last.year}"
    return ends if first == last else f"{_day(first)} to {ends}"


def percent(mails: Mails, name: str) -> str:
    """A rate as text; sent mail has none."""
    rate = None if name == "sent" else mails.rate(name)
    return "–" if rate is None else f"{rate:.1%}"


def _with_rate(mails: Mails, name: str) -> str:
    return f"{mails[name]:,}" if name == "sent" else f"{mails[name]:,} ({percent(mails, name)})"


def _day(day: dt.date) -> str:
    return f"{day:%a, %b} {day.day}"
