"""Deliverability of sending domains: warm-up, bounces and complaints of the last days.

Shares are of the mails that were delivered, and of those that were sent where nothing reports
delivery.
"""

import datetime as dt
from dataclasses import dataclass
from importlib import resources

import sqlalchemy as sa

DAY, WEEK = dt.timedelta(days=1), dt.timedelta(days=7)
# Google's limits for senders: aim below the first, never reach the second.
COMPLAINTS_AIM, COMPLAINTS_LIMIT = 0.001, 0.003


@dataclass(frozen=True)
class MailCounts:
    """The mails of a domain that were handed over in a span of time.

    Attributes:
        delivered: Those whose delivery was reported.
        hard: Hard bounces of them.
        soft: Soft bounces of them.
        complaints: Those whose recipient called them spam.
    """

    sent: int
    delivered: int
    hard: int
    soft: int
    complaints: int

    @property
    def base(self) -> int:
        """The mails that shares are of."""
        return self.delivered or self.sent

    @property
    def complaint_share(self) -> float:
        """Complaints per mail, 0 to 1."""
        return self.complaints / self.base if self.base else 0.0

    @property
    def verdict(self) -> str:
        """The share of complaints against Google's limits: good, warn or bad."""
        if self.complaint_share >= COMPLAINTS_LIMIT:
            return "bad"
        return "warn" if self.complaint_share >= COMPLAINTS_AIM else "good"


@dataclass(frozen=True)
class Deliverability:
    """A sending domain and the fate of its mails.

    Attributes:
        paused_until: End of its pause; None: it is not paused.
        cap: Most mails of today; None: it is not under warm-up.
        warmup_day: Day of its warm-up, from 1.
        taken: Places of today that claims have taken.
        caps: Cap of each of the 30 days, from the first mail on.
        places: Places taken on each of them, until today.
    """

    organization: str
    domain: str
    from_address: str
    is_default: bool
    paused_until: dt.datetime | None
    cap: int | None
    warmup_day: int
    taken: int
    caps: list[int]
    places: list[int]
    day: MailCounts
    week: MailCounts


def deliverability(
    connection: sa.Connection, now: dt.datetime, today: dt.date
) -> list[Deliverability]:
    """Every sending domain, by organization.

    Args:
        today: Day of `now` in the reporting zone.
    """
    statement = sa.text(
        resources.files(__package__).joinpath("sql", "deliverability.sql").read_text()
    )
    values = {"now": now, "day": now - DAY, "week": now - WEEK, "today": today}
    return [
        Deliverability(
            organization=row.organization,
            domain=row.domain,
            from_address=row.from_address,
            is_default=row.is_default,
            paused_until=row.paused_until,
            cap=row.cap,
            warmup_day=row.warmup_day,
            taken=row.taken,
            caps=[cap for cap in row.caps if cap is not None],
            places=row.places,
            day=_span(row, "day"),
            week=_span(row, "week"),
        )
        for row in connection.execute(statement, values)
    ]


def _span(row: sa.Row[tuple[object, ...]], name: str) -> MailCounts:
    columns = ("sent", "delivered", "hard", "soft", "complaints")
    return MailCounts(*(int(row._mapping[f"{column}_{name}"]) for column in columns))
