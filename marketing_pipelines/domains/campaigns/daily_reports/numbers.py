"""The numbers of a daily report, read for all organizations at once."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.reports import read_sql
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.freshness.partitions import midnight

MAIL = ("sent", "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")
# Rates over sent mail; the others are over delivered mail, where deliveries are known.
_OVER_SENT = ("delivered", "bounced")
ONE_DAY = dt.timedelta(days=1)
SATURDAY = 5


@dataclass(frozen=True)
class ReportPeriod:
    """Days of the reporting zone, the last included."""

    first: dt.date
    last: dt.date

    @classmethod
    def before(cls, day: dt.date) -> "ReportPeriod":
        """The days since the report before: on Mondays Friday to Sunday, else the day before."""
        first = day - ONE_DAY
        while first.weekday() >= SATURDAY:
            first -= ONE_DAY
        return cls(first, day - ONE_DAY)

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True)
class Mails:
    """Mail events of a campaign, or of all of an organization, by type."""

    counts: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(MAIL, 0))

    def __getitem__(self, name: str) -> int:
        return self.counts[name]

    def __add__(self, other: "Mails") -> "Mails":
        return Mails({name: self[name] + other[name] for name in MAIL})

    def rate(self, name: str) -> float | None:
        """The share as `analytics.campaign_daily_rates` has it; None: nothing was sent."""
        sent = self["sent"]
        whole = sent if name in _OVER_SENT else self["delivered"] or sent
        return self[name] / whole if whole else None


@dataclass
class CampaignLine:
    """A campaign with activity in the period.

    Attributes:
        before: Its numbers on the same weekdays a week before.
    """

    name: str
    mails: Mails = field(default_factory=Mails)
    before: Mails = field(default_factory=Mails)


@dataclass
class DailyReport:
    """The report of an organization.

    Attributes:
        messages: Number of the messages that were written in the period, by their present state.
        failing: Sentences on its items that fail.
    """

    organization_id: int
    external_id: str
    name: str
    period: ReportPeriod
    campaigns: list[CampaignLine] = field(default_factory=list)
    messages: dict[str, int] = field(default_factory=dict)
    new_contacts: int = 0
    failing: list[str] = field(default_factory=list)

    @property
    def total(self) -> Mails:
        """The numbers of all campaigns."""
        return sum((one.mails for one in self.campaigns), Mails())

    @property
    def total_before(self) -> Mails:
        """The numbers of these campaigns a week before."""
        return sum((one.before for one in self.campaigns), Mails())

    @property
    def is_empty(self) -> bool:
        """True if nothing happened in the period."""
        return not (self.campaigns or self.messages or self.new_contacts)

    def __str__(self) -> str:
        return f"organization {self.external_id}"


def read_reports(
    connection: sa.Connection, period: ReportPeriod, zone: ZoneInfo
) -> list[DailyReport]:
    """The reports of all organizations, in the order of their numbers."""
    own = organizations.c
    found = {
        row.id: DailyReport(row.id, row.external_id, row.name or row.external_id, period)
        for row in connection.execute(sa.select(own.id, own.external_id, own.name).order_by(own.id))
    }
    days = {"first": period.first, "last": period.last}
    lines: dict[int, CampaignLine] = {}
    for row in connection.execute(read_sql("daily_report_campaigns"), days):
        line = lines.setdefault(row.campaign_id, CampaignLine(row.name))
        mails = Mails({name: int(getattr(row, name)) for name in MAIL})
        if row.is_period:
            line.mails = mails
            found[row.organization_id].campaigns.append(line)
        else:
            line.before = mails
    window = {"start": midnight(period.first, zone), "end": midnight(period.last + ONE_DAY, zone)}
    for row in connection.execute(read_sql("daily_report_counts"), window):
        report = found[row.organization_id]
        if row.kind == "message":
            report.messages[row.name] = row.number
        elif row.kind == "contacts":
            report.new_contacts = row.number
        else:
            report.failing.append(f"{row.name} ({row.number} times in a row)")
    return list(found.values())
