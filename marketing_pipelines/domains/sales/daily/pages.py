"""Pages of insights: one HTML file per organization and day, which needs nothing but itself.

A page is written again when its insight has changed, or when the file is gone.
"""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.charts import Chart, line_chart
from marketing_pipelines.domains.campaigns.reports import safe_name
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.sales.daily.numbers import METRICS, read_counts
from marketing_pipelines.domains.sales.tables import insights
from marketing_pipelines.installation_settings import DAYS_OF_PAGES
from marketing_pipelines.jobs.metadata import line_chart as line_image
from marketing_pipelines.jobs.metadata import path_of, table_of
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.files import FileStore

DAYS = 56
MAX_SHOWN = 50
CHARTS = (
    ("Contacts and deals", ("new_contacts", "new_deals", "won_deals")),
    ("Campaign mail", ("sent", "opened", "clicked")),
)
# The values of an organization's metrics by name and day.
_Counts = Mapping[str, Mapping[dt.date, int]]


def write_pages(tick: Tick) -> None:
    """Writes the pages that are missing or out of date, and the index of each organization."""
    files = FileStore.of_reports(tick.settings, "insights")
    written = 0
    with tick.begin() as connection:
        found = _insights(connection, tick.date - dt.timedelta(days=DAYS_OF_PAGES), tick.date)
        due = [one for one in found if not _is_current(files, one)]
        counts = _counts(connection, [one.date for one in due], tick.zone)
        for item in tick.items(connection, due, _name):
            with item as insight:
                page = render(insight, counts.get(insight.organization_id, {}))
                files.replace(path(insight), page.encode())
                written += 1
        for name, listed in _by_organization(found).items():
            files.replace(f"{safe_name(name)}/index.html", render_index(listed).encode())
    tick.rows = written
    tick.metadata |= {
        "pages": table_of(
            ("organization", "date", "attention", "page"),
            [
                (one.organization_name, one.date, len(one.attention), files.place(path(one)))
                for one in found[:MAX_SHOWN]
            ],
        ),
        "folder": path_of(files.url),
    }
    if due:
        own = counts.get(due[0].organization_id, {})
        title, names = CHARTS[0]
        tick.metadata["chart"] = line_image(
            [_line(name, own, due[0].date) for name in names],
            f"{title} of {due[0].organization_name}",
        )


def path(insight: Any) -> str:
    """The file of an insight below the folder of all."""
    return f"{safe_name(insight.organization)}/{insight.date}.html"


def render(insight: Any, counts: _Counts) -> str:
    """The page of an insight."""
    charts: list[Chart] = [
        line_chart(title, [_line(name, counts, insight.date) for name in names])
        for title, names in CHARTS
        if any(name in counts for name in names)
    ]
    return _page(
        "insight.html", insight=insight, mark=_mark(insight), titles=METRICS, charts=charts
    )


def render_index(own: Sequence[Any]) -> str:
    """The page that links the pages of an organization.

    Args:
        own: Its insights, the latest first.
    """
    return _page("insights.html", insights=own)


def _insights(connection: sa.Connection, first: dt.date, after: dt.date) -> Sequence[Any]:
    name = sa.func.coalesce(organizations.c.name, organizations.c.external_id)
    return connection.execute(
        sa.select(
            insights,
            organizations.c.external_id.label("organization"),
            name.label("organization_name"),
        )
        .join(organizations, organizations.c.id == insights.c.organization_id)
        .where(insights.c.date >= first, insights.c.date < after)
        .order_by(insights.c.date.desc(), organizations.c.external_id)
    ).all()


def _counts(
    connection: sa.Connection, dates: Sequence[dt.date], zone: ZoneInfo
) -> Mapping[int, _Counts]:
    if not dates:
        return {}
    first = min(dates) - dt.timedelta(days=DAYS - 1)
    days = [first + dt.timedelta(days=n) for n in range((max(dates) - first).days + 1)]
    found: defaultdict[int, defaultdict[str, dict[dt.date, int]]]
    found = defaultdict(lambda: defaultdict(dict))
    for row in read_counts(connection, days, zone):
        if row.value is not None:
            found[row.organization_id][row.metric][row.date] = int(row.value)
    return found


def _line(name: str, counts: _Counts, date: dt.date) -> tuple[str, list[dt.date], list[int]]:
    first = date - dt.timedelta(days=DAYS - 1)
    own = {day: value for day, value in counts.get(name, {}).items() if first <= day <= date}
    return METRICS[name].lower(), sorted(own), [own[day] for day in sorted(own)]


def _by_organization(found: Sequence[Any]) -> Mapping[str, list[Any]]:
    own: defaultdict[str, list[Any]] = defaultdict(list)
    for one in found:
        own[one.organization].append(one)
    return own


def _mark(insight: Any) -> str:
    """A hash of the page's content, for its head."""
    return hashlib.sha256(f"{insight.digest} {insight.writer}".encode()).hexdigest()


def _is_current(files: FileStore, insight: Any) -> bool:
    """Returns true if the page shows the insight as it is."""
    try:
        with files.reading(path(insight)) as page:
            head = page.read(1_000)
    except FileNotFoundError:
        return False
    return _mark(insight).encode() in head


def _name(insight: Any) -> str:
    return f"page {insight.date} of {insight.organization}"


def _page(template: str, **values: Any) -> str:
    page: str = _environment().get_template(template).render(**values)
    return page


@cache
def _environment() -> Any:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    # The layout is that of the reports of campaigns.
    loaders = [
        PackageLoader(f"marketing_pipelines.domains.{one}") for one in ("sales", "campaigns")
    ]
    environment = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = "{:,}".format
    return environment
