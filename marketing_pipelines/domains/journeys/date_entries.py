"""Dates of contacts, such as a birthday or the end of a contract, let them into programs.

A local day of a contact is due when its time of day has come in the contact's zone (else the
organization's, else the reporting zone), as in a `wait`. A trigger looks at the days that became
due since its `evaluated_at`. Dates are read as segment rules read them, in that zone.
"""

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.journeys.enrolling import (
    enrol,
    evaluate_each,
    live,
    name_of,
    note_evaluated,
)
from marketing_pipelines.domains.lifecycle.trigger_configs import DateTrigger, parse_date
from marketing_pipelines.domains.segments import segment_graph
from marketing_pipelines.domains.segments.compiler import Compiler, Frame
from marketing_pipelines.domains.segments.preview import rule_timeout, statement_timeout
from marketing_pipelines.domains.segments.rules import Attribute
from marketing_pipelines.domains.segments.values import Condition, stored
from marketing_pipelines.runs.items import Items
from marketing_pipelines.stores.postgres import Begin

MAX_DAYS = 7
ONE_DAY = dt.timedelta(days=1)
MIDNIGHT = "00:00"


@dataclass
class DateEntries:
    """The outcome of date triggers in one pass.

    Attributes:
        begun: Enrolments.
        not_dates: Evaluated contacts whose value is not a date, by trigger.
    """

    begun: int = 0
    not_dates: Counter[str] = field(default_factory=Counter)


def start_by_dates(
    begin: Begin, tick: dt.datetime, reporting_zone: ZoneInfo, items: Items
) -> DateEntries:
    """Enrols contacts whose day has come, each day once; up to seven missed days are caught up.

    Args:
        begin: A transaction of read committed.
        reporting_zone: The zone of organizations that have none.
        items: As `Tick.items`.
    """
    found = DateEntries()
    with begin() as connection:
        triggers = live(connection, "date")
    names = {trigger.id: name_of(trigger) for trigger in triggers}

    def start(connection: sa.Connection, trigger: Any) -> int:
        own = evaluate(connection, trigger, tick, reporting_zone)
        if own.not_dates:
            found.not_dates[names[trigger.id]] += own.not_dates
        return own.begun

    found.begun = evaluate_each(begin, items, triggers, start)
    return found


@dataclass
class Evaluated:
    """The outcome of one trigger."""

    begun: int = 0
    not_dates: int = 0


def evaluate(
    connection: sa.Connection, trigger: Any, tick: dt.datetime, reporting_zone: ZoneInfo
) -> Evaluated:
    """Enrols the contacts that one trigger, held by the transaction, finds on the due days.

    Raises:
        BadInputError: the organization's zone cannot be used.
        StepError: its `config` cannot be used.
        RuleError: no contact has the attribute, or it holds no dates.
    """
    config = parse_date(trigger.config)
    organization_id = trigger.organization_id
    zone = segment_graph.zone_of(connection, organization_id, reporting_zone)
    due = {
        (own, whose): days
        for own, whose in _zones(connection, organization_id, zone).items()
        if (days := list(_due_days(trigger, config.at or MIDNIGHT, tick, own)))
    }
    found = Evaluated()
    if not due:
        return found
    with statement_timeout(connection, rule_timeout(connection, organization_id)):
        frame = segment_graph.frame(
            connection,
            organization_id,
            zone=zone,
            now=tick,
            segments=segment_graph.Published(segment_graph.Catalogue([])),
        )
        for (own, whose), days in due.items():
            there = dataclasses.replace(frame, zone=own)
            for day in days:
                select = _found(Compiler(there), config, day).where(whose)
                found.begun += enrol(connection, trigger, tick, select)
            unreadable = _not_dates(there, config.attribute).where(whose)
            found.not_dates += connection.execute(unreadable).scalar_one()
    note_evaluated(connection, trigger, tick)
    return found


def _zones(
    connection: sa.Connection, organization_id: int, default: ZoneInfo
) -> Mapping[ZoneInfo, Condition]:
    """Returns the zones of an organization's contacts, each with the condition of being there.
    Contacts without a known zone are in the default one."""
    names = connection.execute(
        sa.select(contacts.c.timezone)
        .where(contacts.c.organization_id == organization_id, contacts.c.timezone.is_not(None))
        .distinct()
        .order_by(contacts.c.timezone)
    ).scalars()
    found: dict[ZoneInfo, Condition] = {}
    for name in names:
        try:
            zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            continue
        if zone != default:
            found[zone] = contacts.c.timezone == name
    elsewhere = [zone.key for zone in found]
    found[default] = sa.func.coalesce(contacts.c.timezone, "").not_in(elsewhere)
    return found


def _due_days(trigger: Any, at: str, tick: dt.datetime, zone: ZoneInfo) -> Iterator[dt.date]:
    """The days that are due and not yet evaluated, beginning with the one of the activation."""
    last = tick.astimezone(zone).date()
    if _instant(last, at, zone) > tick:
        last -= ONE_DAY
    first = last
    if trigger.evaluated_at is not None:
        first = trigger.evaluated_at.astimezone(zone).date()
        if _instant(first, at, zone) <= trigger.evaluated_at:
            first += ONE_DAY
    elif trigger.started_at is not None:
        first = trigger.started_at.astimezone(zone).date()
    first = max(first, last - (MAX_DAYS - 1) * ONE_DAY)
    for number in range((last - first).days + 1):
        yield first + number * ONE_DAY


def _instant(day: dt.date, at: str, zone: ZoneInfo) -> dt.datetime:
    time = dt.time.fromisoformat(at)
    return dt.datetime.combine(day, time, tzinfo=zone).astimezone(dt.UTC)


def _found(compiler: Compiler, config: DateTrigger, day: dt.date) -> sa.Select[Any]:
    """The contacts whose date is so many days after the day."""
    rule = Attribute(
        attribute=config.attribute,
        op="anniversary" if config.yearly else "on",
        value=(day + config.days_before * ONE_DAY).isoformat(),
    )
    holds = compiler.condition(rule)
    contact = compiler.contact
    return (
        sa.select(
            contact.c.id.label("contact_id"),
            sa.literal(compiler.frame.now, sa.DateTime(timezone=True)).label("at"),
            sa.literal(day.isoformat(), sa.Text).label("entry"),
        )
        .select_from(compiler.source)
        .where(contact.c.organization_id == compiler.frame.organization_id, holds)
    )


def _not_dates(frame: Frame, attribute: str) -> sa.Select[Any]:
    """Counts the contacts with a value that is not a date."""
    value = stored(contacts, attribute)
    return sa.select(sa.func.count()).where(
        contacts.c.organization_id == frame.organization_id,
        value.is_present(),
        value.instant(frame.zone).is_(None),
    )
