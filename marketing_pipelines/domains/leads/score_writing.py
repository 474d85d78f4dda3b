"""Writes scores of contacts where they change, and publishes the changes of their bands and grades.

The rows are locked in the order of their numbers before they are compared, so a change is that of
one writer alone, and is published once whichever job comes first.
"""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.events import IntentBandChanged, LeadGraded
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.queueing import bus
from marketing_pipelines.stores.temporary import create_temporary

_changed = sa.table(
    "changed_scores",
    sa.column("contact_id", sa.BigInteger),
    sa.column("was", sa.Text),
    sa.column("rank", sa.Text),
    sa.column("score", sa.Integer),
)


@dataclass(frozen=True)
class StoredScore:
    """A score and its rank, as contacts have them.

    Attributes:
        rank: The band or grade that the score gives.
        lowest: The rank of contacts that never had one.
        event: The event of a changed rank.
    """

    score: sa.Column[int]
    rank: sa.Column[str]
    lowest: str
    event: type[IntentBandChanged] | type[LeadGraded]


INTENT = StoredScore(contacts.c.intent_score, contacts.c.intent_band, "low", IntentBandChanged)
LEAD = StoredScore(contacts.c.lead_score, contacts.c.lead_grade, "F", LeadGraded)


def write_changes(
    connection: sa.Connection,
    stored: StoredScore,
    organization_id: int,
    instant: dt.datetime,
    scored: sa.Select[tuple[int, str]],
) -> int:
    """Stores scores as of an instant where they change, with an event for each changed rank.

    Args:
        connection: In a transaction of read committed.
        scored: A query for `score` and `rank` from contacts and a table of their scores.

    Returns:
        Number of changed contacts.
    """
    score, rank = scored.selected_columns
    differing = (
        scored.add_columns(contacts.c.id.label("contact_id"), stored.rank.label("was"))
        .where(sa.or_(stored.score.is_distinct_from(score), stored.rank.is_distinct_from(rank)))
        .order_by(contacts.c.id)
        .with_for_update(of=contacts, key_share=True)
    )
    number = create_temporary(connection, "changed_scores", differing)
    connection.execute(
        sa.update(contacts)
        .where(contacts.c.id == _changed.c.contact_id)
        .values({stored.score: _changed.c.score, stored.rank: _changed.c.rank})
    )
    was = sa.func.coalesce(_changed.c.was, stored.lowest)
    payload = sa.func.jsonb_build_object(
        "from", was, "to", _changed.c.rank, "score", _changed.c.score,
        "tick", sa.literal(instant, sa.DateTime(timezone=True)), type_=pg.JSONB,
    )  # fmt: skip
    events = sa.select(
        sa.literal(organization_id, sa.BigInteger).label("organization_id"),
        _changed.c.contact_id,
        payload.label("payload"),
    ).where(was != _changed.c.rank)
    bus.publish_rows(connection, stored.event, events)
    return number
