"""Intent scores: the sum of a contact's signals of interest, each after its decay.

A score is a function of events and an instant. `scores_at` and `signals_at` return it as a query
for any instant: the nightly job, the job of new signals, lifecycle rules and `why` read the same.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.analytics.tables import contact_activity
from marketing_pipelines.domains.crm.lead_settings import Intent
from marketing_pipelines.domains.crm.organization_settings import settings_of

DAY = dt.timedelta(days=1)
# Contacts as a query for their numbers, or as numbers; None: all of the organization.
Chosen = sa.Select[Any] | Sequence[int] | None


@dataclass(frozen=True)
class Signal:
    """A type of event that earns points.

    Attributes:
        span: Length before the instant in which one can count.
    """

    event_type: str
    points: Decimal
    decay: Decimal
    least: Decimal
    span: dt.timedelta


def signals_of(settings: Intent) -> list[Signal]:
    """The types of events that earn points, with the time for which one can count."""
    found = []
    for event_type, points in settings.points.items():
        if points == 0:
            continue
        decay, least = settings.decay_of(event_type), settings.least_of(event_type)
        span = settings.max_age_days * DAY
        if points < least:
            span = min(span, DAY)
        elif decay > 0:
            # The last age of which something is left, and the rest of that day; a day more, since
            # the quotient of two floats may fall short of a whole number.
            span = min(span, (int(min((points - least) / decay, 1e6)) + 2) * DAY)
        found.append(Signal(event_type, exact(points), exact(decay), exact(least), span))
    return found


def exact(number: float) -> Decimal:
    """The decimal number that a setting was written as."""
    return Decimal(repr(float(number)))


def longest_span(settings: Intent) -> dt.timedelta:
    """The time for which a signal of any type can count."""
    return max((signal.span for signal in signals_of(settings)), default=dt.timedelta())


def scores_at(
    connection: sa.Connection,
    organization_id: int,
    instant: dt.datetime,
    contacts: Chosen = None,
) -> sa.Select[Any]:
    """A query for the intent scores of an organization's contacts at an instant.

    Its columns are `contact_id` and `score`, a decimal number that is not rounded: bands are judged
    by it. Contacts without a signal that counts have no row; their score is 0.

    Raises:
        BadInputError: the settings of the organization cannot be used.
    """
    settings = settings_of(connection, organization_id).intent
    counted = signals_at(settings, organization_id, instant, contacts).subquery("signals")
    return sa.select(
        counted.c.contact_id, sa.func.sum(counted.c.rest, type_=sa.Numeric).label("score")
    ).group_by(counted.c.contact_id)


def signals_at(
    settings: Intent,
    organization_id: int,
    instant: dt.datetime,
    contacts: Chosen = None,
) -> sa.Select[Any]:
    """A query for the signals that count at an instant, with their points.

    Its columns are `contact_id`, `event_type`, `event_id`, `occurred_at`, `points`, `decay`, `age`
    (whole days of 24 hours) and `rest` (the points that are left).
    """
    signal = _as_rows(signals_of(settings))
    activity = contact_activity.c
    event = sa.select(
        activity.contact_id, activity.event_type, activity.event_id, activity.occurred_at
    ).where(
        activity.organization_id == organization_id,
        activity.event_type == signal.c.event_type,
        activity.occurred_at >= sa.literal(instant, _INSTANT) - signal.c.span,
        activity.occurred_at < instant,
        _is_by_a_person(),
    )
    if contacts is not None:
        event = event.where(activity.contact_id == sa.any_(numbers_of(contacts)))
    found = event.lateral("event")
    length = sa.literal(instant, _INSTANT) - found.c.occurred_at
    age = sa.func.floor(sa.extract("epoch", length) / 86_400, type_=sa.Numeric)
    rest = signal.c.points - signal.c.decay * age
    return (
        sa.select(
            found.c.contact_id,
            found.c.event_type,
            found.c.event_id,
            found.c.occurred_at,
            signal.c.points,
            signal.c.decay,
            age.label("age"),
            rest.label("rest"),
        )
        .select_from(signal.join(found, sa.true()))
        .where(sa.or_(age == 0, sa.and_(rest >= signal.c.least, rest > 0)))
    )


def rounded(score: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """A score as it is stored: a whole number, halves upwards."""
    return sa.cast(sa.func.floor(score + sa.literal(Decimal("0.5"), sa.Numeric)), sa.Integer)


def band(score: sa.ColumnElement[Any], settings: Intent) -> sa.ColumnElement[str]:
    """The band of a score that is not rounded."""
    high, medium = (
        sa.literal(exact(bound), sa.Numeric)
        for bound in (settings.high_above, settings.medium_above)
    )
    return sa.case((score > high, "high"), (score > medium, "medium"), else_="low")


def numbers_of(contacts: sa.Select[Any] | Sequence[int]) -> sa.ColumnElement[Any]:
    """The numbers as an array, which is looked up by index; a join may read everything."""
    if isinstance(contacts, sa.Select):
        return sa.func.array(contacts.scalar_subquery())
    return sa.cast(list(contacts), pg.ARRAY(sa.BigInteger))


_INSTANT = sa.DateTime(timezone=True)


def _as_rows(signals: Sequence[Signal]) -> sa.TableValuedAlias:
    columns: dict[str, tuple[Any, list[Any]]] = {
        "event_type": (sa.Text(), [one.event_type for one in signals]),
        "points": (sa.Numeric(), [one.points for one in signals]),
        "decay": (sa.Numeric(), [one.decay for one in signals]),
        "least": (sa.Numeric(), [one.least for one in signals]),
        "span": (sa.Interval(), [one.span for one in signals]),
    }
    arrays: list[Any] = [sa.cast(values, pg.ARRAY(kind)) for kind, values in columns.values()]
    named: list[Any] = [sa.column(name, kind) for name, (kind, _) in columns.items()]
    return sa.func.unnest(*arrays).table_valued(*named).render_derived(name="signal")


def _is_by_a_person() -> sa.ColumnElement[bool]:
    """Returns the condition that no machine opened or clicked."""
    verdict = sa.cast({"machine_open": True}, pg.JSONB), sa.cast({"machine_click": True}, pg.JSONB)
    properties = sa.func.coalesce(
        contact_activity.c.properties, sa.cast({}, pg.JSONB), type_=pg.JSONB
    )
    return sa.and_(*(sa.not_(properties.contains(one)) for one in verdict))
