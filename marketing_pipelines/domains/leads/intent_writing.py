"""Stores intent scores: the days of contacts, their present score and band, and crossings.

Days have no events.
"""

import datetime as dt

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.leads import intent, score_writing
from marketing_pipelines.domains.leads.statements import read_sql
from marketing_pipelines.freshness.partitions import Window
from marketing_pipelines.stores.temporary import create_temporary

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

    Contacts that were scored as of a later instant keep their scores. Of contacts without a signal,
    only ones scored before are looked at.

    Args:
        connection: In a transaction of read committed.
        chosen: Contacts that are locked; None: all of the organization.

    Returns:
        Number of changed contacts.

    Raises:
        BadInputError: the settings of the organization cannot be used.
    """
    if score_writing.is_outdated(connection, score_writing.INTENT, organization_id, instant):
        return 0
    _score(connection, organization_id, instant, chosen)
    found = _scored.c
    scored = (
        sa.select(
            sa.func.coalesce(found.score, 0).label("score"),
            sa.func.coalesce(found.band, "low").label("rank"),
        )
        .select_from(contacts.outerjoin(_scored, found.contact_id == contacts.c.id))
        .where(
            contacts.c.organization_id == organization_id,
            sa.or_(found.contact_id.is_not(None), contacts.c.intent_band.is_not(None)),
        )
    )
    if chosen is not None:
        scored = scored.where(contacts.c.id == sa.any_(intent.numbers_of(chosen)))
    return score_writing.write_changes(
        connection, score_writing.INTENT, organization_id, instant, scored, chosen
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
