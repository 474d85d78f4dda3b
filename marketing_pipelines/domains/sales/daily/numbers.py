"""The numbers of a day, read for all organizations at once."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.sales.daily.anomalies import earlier_days, judge
from marketing_pipelines.domains.sales.sql_files import read_sql
from marketing_pipelines.freshness.partitions import midnight

METRICS = {
    "new_contacts": "New contacts",
    "new_deals": "New deals",
    "stage_changes": "Stage changes",
    "won_deals": "Won deals",
    "sent": "Mails sent",
    "delivered": "Mails delivered",
    "opened": "Mails opened",
    "clicked": "Mails clicked",
}


@dataclass(frozen=True)
class Metric:
    """One number of the day.

    Attributes:
        name: As in `METRICS`.
        value: Number of the day; None: it is not counted yet.
        expected: Median of the earlier values; None: there are too few.
        spread: Spread of the earlier values; None: there are too few.
        earlier: Number of earlier values.
        verdict: usual, above or below; None: there are too few earlier values, or there is none
            of the day.
    """

    name: str
    value: int | None
    expected: float | None
    spread: float | None
    earlier: int
    verdict: str | None

    @property
    def change(self) -> float | None:
        """The share by which it differs from the expected value."""
        if self.value is None or not self.expected:
            return None
        return (self.value - self.expected) / self.expected

    def stored(self) -> dict[str, Any]:
        """The metric as tables hold it."""
        return {
            "value": self.value,
            "expected": self.expected,
            "spread": None if self.spread is None else round(self.spread, 2),
            "change": None if self.change is None else round(self.change, 4),
            "earlier": self.earlier,
            "verdict": self.verdict,
        }


@dataclass
class DayNumbers:
    """Everything that an insight may state about an organization's day.

    Attributes:
        metrics: By name; those without a single row ever are left out.
        won: Amounts won by currency.
        campaigns: Rows of campaigns with mail, the largest first.
        performers: The three users with the most activities.
        responses: Hours and answers by role.
        stuck: Stages without movement.
    """

    date: dt.date
    metrics: dict[str, Metric] = field(default_factory=dict)
    won: dict[str, Any] = field(default_factory=dict)
    campaigns: list[Any] = field(default_factory=list)
    performers: list[Any] = field(default_factory=list)
    responses: list[Any] = field(default_factory=list)
    stuck: list[Any] = field(default_factory=list)


def read_numbers(connection: sa.Connection, date: dt.date, zone: ZoneInfo) -> dict[int, DayNumbers]:
    """The numbers of a day by organization, but for stuck stages; absent where there are none.

    Args:
        zone: The reporting zone, whose days count.
    """
    start, end = (midnight(date + dt.timedelta(days=n), zone) for n in (0, 1))
    found: defaultdict[int, DayNumbers] = defaultdict(lambda: DayNumbers(date))
    for organization_id, metric in _judged(connection, date, zone):
        found[organization_id].metrics[metric.name] = metric
    day = {"start": start, "end": end}
    for row in connection.execute(read_sql("won_amounts"), day):
        found[row.organization_id].won[row.currency] = row.amount
    for row in connection.execute(read_sql("campaign_results"), {"date": date}):
        found[row.organization_id].campaigns.append(row)
    for row in connection.execute(read_sql("top_performers"), day):
        found[row.organization_id].performers.append(row)
    for row in connection.execute(read_sql("response_hours"), day):
        found[row.organization_id].responses.append(row)
    return dict(found)


def read_counts(
    connection: sa.Connection, dates: Sequence[dt.date], zone: ZoneInfo
) -> Sequence[Any]:
    """The counts of every organization, metric and day: rows with `date` and `value`.

    A value is None where the day is not counted yet.
    """
    one = dt.timedelta(days=1)
    days = {
        "dates": list(dates),
        "starts": [midnight(date, zone) for date in dates],
        "ends": [midnight(date + one, zone) for date in dates],
    }
    return connection.execute(read_sql("daily_counts"), days).all()


def _judged(
    connection: sa.Connection, date: dt.date, zone: ZoneInfo
) -> Iterable[tuple[int, Metric]]:
    import pandas as pd  # takes half a second, in the one process that needs it

    days = earlier_days(date)
    rows = read_counts(connection, [date, *days], zone)
    if not rows:
        return
    frame = pd.DataFrame(rows, columns=["organization_id", "metric", "date", "value"])
    table = frame.pivot(index=["organization_id", "metric"], columns="date", values="value")
    table = table.reindex(columns=[date, *days]).astype(float)
    judged = judge(table[date], table[days])
    for (organization_id, name), row in judged.iterrows():
        yield (
            int(organization_id),
            Metric(
                name=name,
                value=None if pd.isna(row["value"]) else int(row["value"]),
                expected=_or_none(row["expected"]),
                spread=_or_none(row["spread"]),
                earlier=int(row["earlier"]),
                verdict=row["verdict"],
            ),
        )


def _or_none(value: float) -> float | None:
    return float(value) if value == value else None  # NaN differs from itself
