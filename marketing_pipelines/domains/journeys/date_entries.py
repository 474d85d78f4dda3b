"""Dates of contacts, such as a birthday or the end of a contract, let them into programs.

A trigger is evaluated once for each local day of its organization, as soon as its time of day has
come; `evaluated_at` is that instant of the last day. Dates are read as segment rules read them.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.journeys.enrolling import (
    Begin,
    Items,
    enrol,
    evaluate_each,
    live,
    note_evaluated,
)
from marketing_pipelines.domains.lifecycle.trigger_configs import DateTrigger, parse_date
from marketing_pipelines.domains.segments import definitions
from marketing_pipelines.domains.segments.asking import patience_of, patiently
from marketing_pipelines.domains.segments.compiler import Compiler
from marketing_pipelines.domains.segments.rules import Attribute

MOST_DAYS = 7
ONE_DAY = dt.timedelta(days=1)
MIDNIGHT = "00:00"


def start_by_dates(begin: Begin, tick: dt.datetime, reporting_zone: ZoneInfo, items: Items) -> int:
    """Lets in those whose day has come, each day once; up to seven missed days are caught up.

    Args:
        begin: A transaction of read committed.
        reporting_zone: The zone of organizations that have none.
        items: As `Tick.items`.

    Returns:
        How many enrolments were begun.
    """
    with begin() as connection:
        triggers = live(connection, "date")
    return evaluate_each(
        begin,
        items,
        triggers,
        lambda connection, trigger: evaluate(connection, trigger, tick, reporting_zone),
    )


def evaluate(
    connection: sa.Connection, trigger: Any, tick: dt.datetime, reporting_zone: ZoneInfo
) -> int:
    """Lets in whom one trigger, which the transaction holds, finds on the days that are due.

    Raises:
        BadInputError: the organization's zone cannot be used.
        StepError: its `config` cannot be used.
        RuleError: no contact has the attribute, or it holds no dates.
    """
    config = parse_date(trigger.config)
    zone = definitions.zone_of(connection, trigger.organization_id, reporting_zone)
    at = config.at or MIDNIGHT
    days = list(_due_days(trigger, at, tick, zone))
    if not days:
        return 0
    begun = 0
    with patiently(connection, patience_of(connection, trigger.organization_id)):
        frame = definitions.frame(
            connection,
            trigger.organization_id,
            zone=zone,
            now=tick,
            segments=definitions.Published(definitions.Catalogue([])),
        )
        for day in days:
            begun += enrol(connection, trigger, tick, _found(Compiler(frame), config, day))
    note_evaluated(connection, trigger, _instant(days[-1], at, zone))
    return begun


def _due_days(trigger: Any, at: str, tick: dt.datetime, zone: ZoneInfo) -> Iterator[dt.date]:
    """The days that are due and not yet evaluated, beginning with the one of the activation."""
    last = tick.astimezone(zone).date()
    if _instant(last, at, zone) > tick:
        last -= ONE_DAY
    first = last
    if trigger.evaluated_at is not None:
        first = trigger.evaluated_at.astimezone(zone).date() + ONE_DAY
    elif trigger.started_at is not None:
        first = trigger.started_at.astimezone(zone).date()
    first = max(first, last - (MOST_DAYS - 1) * ONE_DAY)
    for number in range((last - first).days + 1):
        yield first + number * ONE_DAY


def _instant(day: dt.date, at: str, zone: ZoneInfo) -> dt.datetime:
    time = dt.time.fromisoformat(at)
    return dt.datetime.combine(day, time, tzinfo=zone).astimezone(dt.UTC)


def _found(compiler: Compiler, config: DateTrigger, day: dt.date) -> sa.Select[Any]:
    """Those whose date is so many days after the day."""
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
