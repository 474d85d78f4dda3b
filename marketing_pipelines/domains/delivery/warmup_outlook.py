"""The wait of mails under warm-up: those that leave today, and the day of the last one."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import validated
from marketing_pipelines.domains.segments import dates
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.settings import get_settings


@dataclass(frozen=True)
class Outlook:
    """The days on which mails of a domain leave, were its caps the only limit.

    Attributes:
        mails: Marketing mails that wait, or would be added to those that wait.
        today: Those of them that leave today.
        last_on: Day on which the last of them leaves.
        expired: Those that expire before their day.
        paused_until: End of the domain's pause; None: it is not paused.
    """

    organization: str
    domain: str
    mails: int
    today: int
    last_on: dt.date
    expired: int
    paused_until: dt.datetime | None = None

    def __str__(self) -> str:
        """One sentence, two if mails would expire."""
        if self.paused_until is not None:
            until = self.paused_until.astimezone(dt.UTC)
            return (
                f"{self.domain} is paused until {until:%Y-%m-%d %H:%M} UTC: no mail leaves before."
            )
        if not self.mails:
            return f"{self.domain} is under warm-up, and no mail waits for it."
        said = (
            f"Under warm-up {self.domain} sends {self.today:,} of {self.mails:,} mails today and "
            f"the last on {self.last_on}."
        )
        if not self.expired:
            return said
        are = "expires" if self.expired == 1 else "expire"
        return f"{said} {self.expired:,} of them {are} before, by their `valid_for`."


def outlook_of_audience(
    connection: sa.Connection,
    organization_id: int,
    mails: int,
    now: dt.datetime,
    *,
    domain_id: int | None = None,
    valid_for: str | None = None,
) -> Outlook | None:
    """The days on which further mails of an organization's domain would leave.

    None: the domain is not under warm-up, or the organization's settings cannot be used.

    Args:
        domain_id: None: the organization's default domain.
        valid_for: Length of time after which they expire; None: the organization's
            `delivery.valid_for`.
    """
    today = now.astimezone(get_settings().zone).date()
    for row in _domains(connection, organization_id, today, now):
        if row.is_default if domain_id is None else row.id == domain_id:
            return _outlook(row, mails, row.waiting, today, valid_for)
    return None


def notes_on_warmup(connection: sa.Connection, now: dt.datetime) -> Iterator[str]:
    """The days on which the waiting mails of each domain under warm-up leave, in sentences."""
    today = now.astimezone(get_settings().zone).date()
    for row in _domains(connection, None, today, now):
        outlook = _outlook(row, row.waiting, 0, today)
        if outlook is None:
            continue
        if outlook.paused_until is not None:
            yield str(outlook)
        else:
            yield f"{outlook} Today's cap is {row.caps[0]:,}, {row.taken:,} of it taken."


def _domains(
    connection: sa.Connection, organization_id: int | None, today: dt.date, now: dt.datetime
) -> Sequence[sa.Row[tuple[object, ...]]]:
    statement = sa.text(
        resources.files(__package__).joinpath("sql", "warmup_outlook.sql").read_text()
    )
    parameters = {"organization": organization_id, "today": today, "now": now}
    return connection.execute(statement, parameters).all()


def _outlook(
    row: sa.Row[tuple[object, ...]],
    mails: int,
    ahead: int,
    today: dt.date,
    valid_for: str | None = None,
) -> Outlook | None:
    """Fills the places of one day after the other, with the mails ahead first."""
    try:
        settings = validated(row.settings, row.organization)
    except BadInputError:
        return None
    if valid_for is None:
        seconds = settings.delivery.valid_for.seconds("marketing")
    else:
        seconds = dates.length_or_zero(valid_for).total_seconds()
    valid_days = seconds / 86_400 if seconds else float("inf")
    remaining, leave_today, expired, number = mails, 0, 0, 0
    for number, cap in enumerate(row.caps):
        room = remaining + ahead if cap is None else max(cap - (0 if number else row.taken), 0)
        passed = min(ahead, room)
        ahead -= passed
        leaves = min(remaining, room - passed)
        remaining -= leaves
        leave_today = leave_today or (leaves if number == 0 else 0)
        expired += leaves if number >= valid_days else 0
        if not remaining:
            break
    last_on = today + dt.timedelta(days=number)
    return Outlook(
        row.organization, row.domain, mails, leave_today, last_on, expired, row.paused_until
    )
