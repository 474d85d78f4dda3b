"""Stores intent scores: the days of contacts, their present score and band, and crossings.

A crossing is a row that the guarded update of the band returns, so it is published once whichever
job comes first. Days have no events.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.analytics.tables import contact_activity
from marketing_pipelines.domains.crm.events import IntentBandChanged
from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.leads import intent
from marketing_pipelines.domains.leads.statements import read_sql
from marketing_pipelines.freshness.partitions import Window
from marketing_pipelines.queueing import bus
from marketing_pipelines.stores.temporary import create_temporary

_changed = sa.table(
    "changed_intents",
    sa.column("contact_id", sa.BigInteger),
    sa.column("was", sa.Text),
    sa.column("band", sa.Text),
    sa.column("score", sa.Integer),
)
_scored = sa.table(
    "scored_contacts",
    sa.column("contact_id", sa.BigInteger),
    sa.column("score", sa.Integer),
    sa.column("band", sa.Text),
)


def write_day(connection: sa.Connection, organization_id: int, day: Window) -> int:
    """Makes the rows of a day those at its end; touches only rows that differ.

    Returns:
        Number of rows of the day.

    Raises:
        BadInputError: the settings of the organization cannot be used.
    """
    rows = _score(connection, organization_id, day.end)
    values = {"organization_id": organization_id, "date": day.date}
    connection.execute(read_sql("forget_intent_day"), values)
    connection.execute(read_sql("store_intent_day"), values)
    return rows


def write_contacts(
    connection: sa.Connection,
    organization_id: int,
    instant: dt.datetime,
    chosen: intent.Chosen = None,
) -> int:
    """Stores scores and bands as of an instant where they change, and publishes the crossings.

    If all contacts are meant, those with a signal since the instant are left to the job of new
    signals, which scores them as of a later one. Of contacts without a signal, only ones scored
    before are looked at.

    Args:
        connection: In a transaction of read committed.

    Returns:
        Number of changed contacts.

    Raises:
        BadInputError: the settings of the organization cannot be used.
    """
    _score(connection, organization_id, instant, chosen)
    stored, found = contacts.c, _scored.c
    score = sa.func.coalesce(found.score, 0)
    band = sa.func.coalesce(found.band, "low")
    own = sa.and_(stored.organization_id == organization_id, _is_among(stored.id, chosen))
    wanted = (
        sa.select(
            stored.id, stored.intent_band.label("was"), score.label("score"), band.label("band")
        )
        .select_from(contacts.outerjoin(_scored, found.contact_id == stored.id))
        .where(
            own,
            sa.or_(found.contact_id.is_not(None), stored.intent_band.is_not(None)),
            sa.or_(
                stored.intent_score.is_distinct_from(score),
                stored.intent_band.is_distinct_from(band),
            ),
        )
        .order_by(stored.id)
        .with_for_update(of=contacts, key_share=True)
        .cte("wanted")
    )
    is_left: sa.ColumnElement[bool] = sa.false()
    if chosen is None:
        is_left = has_newer_signal(connection, organization_id, instant)
    changed = (
        sa.update(contacts)
        .where(
            stored.id == wanted.c.id,
            stored.intent_band.is_not_distinct_from(wanted.c.was),
            sa.not_(is_left),
        )
        .values(intent_score=wanted.c.score, intent_band=wanted.c.band)
        .returning(stored.id, wanted.c.was, wanted.c.band, wanted.c.score)
        .cte("changed")
    )
    connection.exec_driver_sql("drop table if exists changed_intents")
    connection.execute(read_sql("create_changed_intents"))
    insert = sa.insert(_changed).from_select(
        ["contact_id", "was", "band", "score"], sa.select(changed)
    )
    number = connection.execute(insert.execution_options(preserve_rowcount=True)).rowcount
    before = sa.func.coalesce(_changed.c.was, "low")
    payload = sa.func.jsonb_build_object(
        "from", before, "to", _changed.c.band, "score", _changed.c.score,
        "tick", sa.literal(instant, sa.DateTime(timezone=True)), type_=pg.JSONB,
    )  # fmt: skip
    crossings = sa.select(
        sa.literal(organization_id, sa.BigInteger).label("organization_id"),
        _changed.c.contact_id,
        payload.label("payload"),
    ).where(before != _changed.c.band)
    bus.publish_rows(connection, IntentBandChanged, crossings)
    return number


def has_newer_signal(
    connection: sa.Connection, organization_id: int, instant: dt.datetime
) -> sa.ColumnElement[bool]:
    """Returns the condition that a contact has had a signal between the instant and the present."""
    signals = intent.signals_of(settings_of(connection, organization_id).intent)
    types = sa.cast([signal.event_type for signal in signals], pg.ARRAY(sa.Text))
    activity = contact_activity.c
    return sa.exists().where(
        activity.contact_id == contacts.c.id,
        activity.event_type == sa.any_(types),
        activity.occurred_at >= instant,
        activity.occurred_at < sa.func.now(),
    )


def _score(
    connection: sa.Connection,
    organization_id: int,
    instant: dt.datetime,
    chosen: intent.Chosen = None,
) -> int:
    """Makes the temporary table `scored_contacts`; returns the number of its rows."""
    settings = settings_of(connection, organization_id).intent
    scores = intent.scores_at(connection, organization_id, instant, chosen).subquery("scores")
    rows = create_temporary(
        connection,
        "scored_contacts",
        sa.select(
            scores.c.contact_id,
            intent.rounded(scores.c.score).label("score"),
            intent.band(scores.c.score, settings).label("band"),
        ),
    )
    connection.exec_driver_sql("analyze scored_contacts")
    return rows


def _is_among(
    contact_id: sa.ColumnElement[Any], chosen: sa.Select[Any] | Sequence[int] | None
) -> sa.ColumnElement[bool]:
    return sa.true() if chosen is None else contact_id == sa.any_(intent.numbers_of(chosen))
