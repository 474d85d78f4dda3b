"""Writes scores of contacts where they change, and publishes the changes of their bands and grades.

The rows are locked in the order of their numbers before they are compared, so a change is that of
one writer alone, and is published once whichever job comes first. `leads.scorings` has the instants
as of which contacts were scored: scores of an earlier one never replace those of a later one.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.events import IntentBandChanged, LeadGraded
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.leads.intent import Chosen, numbers_of
from marketing_pipelines.domains.leads.statements import read_sql
from marketing_pipelines.domains.leads.tables import scorings
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
        name: As `leads.scorings` has it.
        rank: The band or grade that the score gives.
        lowest: The rank of contacts that never had one.
        event: The event of a changed rank.
    """

    name: str
    score: sa.Column[int]
    rank: sa.Column[str]
    lowest: str
    event: type[IntentBandChanged] | type[LeadGraded]


INTENT = StoredScore(
    "intent", contacts.c.intent_score, contacts.c.intent_band, "low", IntentBandChanged
)
LEAD = StoredScore("lead", contacts.c.lead_score, contacts.c.lead_grade, "F", LeadGraded)


def lock_contacts(connection: sa.Connection, chosen: sa.Select[Any] | Sequence[int]) -> None:
    """Locks contacts that are scored by themselves, before their scores are computed.

    So of two writers of one contact, the second sees the rows of the first.
    """
    own = sa.select(contacts.c.id).where(contacts.c.id == sa.any_(numbers_of(chosen)))
    connection.execute(own.order_by(contacts.c.id).with_for_update(key_share=True))


def is_outdated(
    connection: sa.Connection, stored: StoredScore, organization_id: int, instant: dt.datetime
) -> bool:
    """Returns true if all contacts were scored as of a later instant."""
    later = sa.select(scorings.c.id).where(
        scorings.c.organization_id == organization_id,
        scorings.c.contact_id.is_(None),
        scorings.c.score == stored.name,
        scorings.c.at > instant,
    )
    return connection.execute(later).first() is not None


def write_changes(
    connection: sa.Connection,
    stored: StoredScore,
    organization_id: int,
    instant: dt.datetime,
    scored: sa.Select[tuple[int, str]],
    chosen: Chosen,
) -> int:
    """Stores scores as of an instant where they change, with an event for each changed rank.

    Args:
        connection: In a transaction of read committed.
        scored: A query for `score` and `rank` from contacts and a table of their scores.
        chosen: The contacts that were scored, which are locked; None: all of the organization.

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
    scoring = {"organization_id": organization_id, "score": stored.name, "instant": instant}
    # Its snapshot is of after the locks, and sees the notes of the last writer of each contact.
    number -= connection.execute(
        read_sql("drop_changes_of_scored"), scoring | {"is_of_all": chosen is None}
    ).rowcount
    connection.execute(
        sa.update(contacts)
        .where(contacts.c.id == _changed.c.contact_id)
        .values({stored.score: _changed.c.score, stored.rank: _changed.c.rank})
    )
    numbers = sa.cast([None], pg.ARRAY(sa.BigInteger)) if chosen is None else numbers_of(chosen)
    connection.execute(
        read_sql("note_scorings"),
        scoring | {"contacts": connection.execute(sa.select(numbers)).scalar_one()},
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
