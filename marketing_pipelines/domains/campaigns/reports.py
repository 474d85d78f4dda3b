"""Reports of campaigns: one HTML file each, which needs nothing but itself, and an index.

All numbers are read at once, as of the tick; drawing a campaign does not ask the database again.
Statuses of campaigns and states of messages are those at the time of the run.
"""

import datetime as dt
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.charts import Chart, line_chart
from marketing_pipelines.domains.campaigns import split_results
from marketing_pipelines.domains.campaigns.split_results import SplitResults, WayResults
from marketing_pipelines.domains.delivery.tables import STATES
from marketing_pipelines.freshness.partitions import midnight, windows_between

MAX_CAMPAIGNS = 2_000
REASONS_OF_A_STEP = 5
DAYS = 60
MAX_NAME_LENGTH = 80
GONE = ("exited", "canceled", "failed")
_REASONS = {
    "no_address": "no address",
    "unsubscribed": "unsubscribed",
    "not_subscribed": "not subscribed",
    "unconfirmed": "not confirmed",
    "hard_bounce": "hard bounce",
    "complaint": "complaint",
    "do_not_contact": "not to be written to",
}


@dataclass
class StepLine:
    """Results of one step.

    Attributes:
        outcomes: Contacts by outcome.
        reasons: Why contacts skipped it or left there: outcome, reason, contacts.
        standing: Contacts who are still there.
    """

    name: str
    type: str
    enabled: bool
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: list[tuple[str, str, int]] = field(default_factory=list)
    standing: int = 0

    @property
    def is_fork(self) -> bool:
        return self.type in ("branch", "wait_for")

    @property
    def parts_ways(self) -> bool:
        return self.is_fork or self.type == "split"

    @property
    def arrived(self) -> int:
        """Contacts who reached the step."""
        return self.outcomes.total() + self.standing

    @property
    def left(self) -> int:
        """Contacts whose way ended there before the last step."""
        return sum(self.outcomes[outcome] for outcome in GONE)

    @property
    def passed(self) -> int:
        """Contacts who left the step for the next."""
        return self.arrived - self.standing - self.left


@dataclass(frozen=True)
class Day:
    """Counts of one day."""

    date: dt.date
    sent: int = 0
    opened: int = 0
    clicked: int = 0
    entered: int = 0
    finished: int = 0


@dataclass
class CampaignReport:
    """One campaign.

    Attributes:
        row: Its names, status, instants and numbers.
        at_entrance: Contacts who have not come to the first step.
        days: The days from the first on which anything happened.
        messages: Messages by channel and state.
        splits: Its splits with their ways.
    """

    row: Any
    steps: list[StepLine] = field(default_factory=list)
    at_entrance: int = 0
    days: list[Day] = field(default_factory=list)
    messages: dict[str, Counter[str]] = field(default_factory=dict)
    splits: list[SplitResults] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Its file below the folder of all reports."""
        return f"{safe_name(self.row.organization)}/{safe_name(self.row.external_id)}.html"

    @property
    def mail(self) -> dict[str, int]:
        """Messages sent, opened and clicked on the shown days, as events tell."""
        return {
            name: sum(getattr(day, name) for day in self.days)
            for name in ("sent", "opened", "clicked")
        }

    def __str__(self) -> str:
        return f"campaign {self.row.external_id} of {self.row.organization}"


@cache
def read_sql(name: str) -> sa.TextClause:
    """The statement in `sql/<name>.sql`."""
    return sa.text(resources.files(__package__).joinpath("sql", f"{name}.sql").read_text())


def read(connection: sa.Connection, *, tick: dt.datetime, zone: ZoneInfo) -> list[CampaignReport]:
    """The numbers of all campaigns with activity in the last 60 days, and of those under way.

    Args:
        zone: The reporting zone, whose days are shown.
    """
    today = tick.astimezone(zone).date()
    first = today - dt.timedelta(days=DAYS)
    rows = connection.execute(
        read_sql("reported_campaigns"),
        {
            "tick": tick,
            "first": first,
            "after": today,
            "completed_from": midnight(first, zone),
            "most": MAX_CAMPAIGNS,
        },
    ).all()
    by_campaign = {row.id: CampaignReport(row) for row in rows}
    days_shown = list(windows_between("day", midnight(first, zone), midnight(today, zone), zone))
    asked = {
        "campaigns": list(by_campaign),
        "tick": tick,
        "dates": [day.date for day in days_shown],
        "starts": [day.start for day in days_shown],
        "ends": [day.end for day in days_shown],
        "first": first,
        "after": today,
        "reasons": REASONS_OF_A_STEP,
    }
    _read_steps(connection, by_campaign, asked)
    days: dict[int, dict[dt.date, Day]] = {}
    for row in connection.execute(read_sql("report_days"), asked):
        numbers = {name: getattr(row, name) for name in Day.__annotations__}
        days.setdefault(row.campaign_id, {})[row.date] = Day(**numbers)
    for number, happened in days.items():
        by_campaign[number].days = _without_gaps(happened, today)
    for row in connection.execute(read_sql("report_messages"), asked):
        states = by_campaign[row.campaign_id].messages.setdefault(row.channel, Counter())
        states[row.state] = row.messages
    return list(by_campaign.values())


def _read_steps(
    connection: sa.Connection, by_campaign: Mapping[int, CampaignReport], asked: Mapping[str, Any]
) -> None:
    ways: dict[int, list[WayResults]] = {}
    for row in connection.execute(read_sql("report_ways"), asked):
        numbers = {name: getattr(row, name) for name in WayResults.__annotations__}
        ways.setdefault(row.step_id, []).append(WayResults(**numbers))
    by_step: dict[int, StepLine] = {}
    for row in connection.execute(read_sql("report_steps"), asked):
        line = StepLine(row.name, row.type, row.enabled)
        by_step[row.id] = line
        report = by_campaign[row.campaign_id]
        report.steps.append(line)
        if row.type == "split":
            found = ways.get(row.id, [])
            report.splits.append(
                split_results.of_step(row.name, row.config, found, has_goal=report.row.has_goal)
            )
    for row in connection.execute(read_sql("report_results"), asked):
        line = by_step[row.step_id]
        line.outcomes[row.outcome] += row.contacts
        if row.outcome in ("skipped", *GONE):
            reason = _REASONS.get(row.reason, row.reason) if row.is_named else "other reasons"
            line.reasons.append((row.outcome, reason or "no reason given", row.contacts))
    for row in connection.execute(read_sql("report_standing"), asked):
        if row.step_id is None:
            by_campaign[row.campaign_id].at_entrance = row.contacts
        else:
            by_step[row.step_id].standing = row.contacts


def _without_gaps(happened: Mapping[dt.date, Day], today: dt.date) -> list[Day]:
    """Every day from the first on which anything happened to the last that is over."""
    first = min((date for date, day in happened.items() if day != Day(date)), default=today)
    dates = [first + dt.timedelta(days=n) for n in range((today - first).days)]
    return [happened.get(date, Day(date)) for date in dates]


def safe_name(name: str) -> str:
    """A name for a file or folder: another one for each name, on any file system. Safe names stay
    as they are. The others, and names that look like a result of this function, end in a part of
    their hash.
    """
    is_safe = re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name) and len(name) <= MAX_NAME_LENGTH
    if is_safe and not re.search(r"-[0-9a-f]{16}$", name):
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:MAX_NAME_LENGTH].rstrip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{readable or 'name'}-{digest}"


def render(report: CampaignReport, *, tick: dt.datetime, zone: ZoneInfo) -> str:
    """The report as HTML."""
    return _page(
        "report.html",
        zone,
        report=report,
        campaign=report.row,
        tick=tick,
        states=[s for s in STATES if any(by_state[s] for by_state in report.messages.values())],
        charts=[
            _chart("Messages", report.days, ("sent", "opened", "clicked")),
            _chart("Contacts", report.days, ("entered", "finished")),
        ],
    )


def render_index(
    reports: Iterable[CampaignReport],
    missing: Collection[str],
    *,
    tick: dt.datetime,
    zone: ZoneInfo,
) -> str:
    """The page that links all reports.

    Args:
        missing: Paths of reports that could not be written.
    """
    return _page("index.html", zone, reports=list(reports), missing=missing, tick=tick)


def _page(template: str, zone: ZoneInfo, **values: Any) -> str:
    page: str = (
        page_environment().get_template(template).render(zone=zone, days_shown=DAYS, **values)
    )
    return page


@cache
def page_environment() -> Any:
    """The templates of this domain's pages."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": "{:,}".format,
        "share": _share,
        "minute": _minute,
        "interval": split_results.share,
    }
    return environment


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _minute(value: dt.datetime | None, zone: ZoneInfo) -> str:
    return "–" if value is None else f"{value.astimezone(zone):%Y-%m-%d %H:%M}"


def _chart(title: str, days: Sequence[Day], names: Sequence[str]) -> Chart:
    dates = [day.date for day in days]
    return line_chart(title, [(n, dates, [getattr(day, n) for day in days]) for n in names])
