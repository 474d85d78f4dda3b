"""Stores lead scores and grades where they change, and publishes changed grades."""

import datetime as dt
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.events import LeadGraded
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.leads import lead_scores
from marketing_pipelines.domains.leads.intent import Chosen
from marketing_pipelines.domains.leads.intent_writing import has_newer_signal
from marketing_pipelines.domains.leads.score_rules import rules_of
from marketing_pipelines.domains.leads.statements import read_sql
from marketing_pipelines.domains.segments.preview import statement_timeout
from marketing_pipelines.queueing import bus
from marketing_pipelines.stores.temporary import create_temporary

_changed = sa.table(
    "changed_leads",
    sa.column("contact_id", sa.BigInteger),
    sa.column("was", sa.Text),
    sa.column("grade", sa.Text),
    sa.column("score", sa.Integer),
)
_scored = sa.table(
    "scored_leads",
    sa.column("contact_id", sa.BigInteger),
    sa.column("score", sa.Integer),
    sa.column("grade", sa.Text),
    sa.column("was", sa.Text),
)


def write_contacts(
    connection: sa.Connection,
    organization_id: int,
    instant: dt.datetime,
    reporting_zone: ZoneInfo,
    chosen: Chosen = None,
) -> int:
    """Stores scores and grades as of an instant where they change.

    A contact that never had a grade counts as one of grade F: its first grade is an event if it is
    a better one. If all contacts are meant, those with a signal since the instant are left to the
    job of new signals, which scores them as of a later one.

    Args:
        connection: In a transaction of read committed.

    Returns:
        Number of changed contacts.

    Raises:
        BadInputError: a rule, the settings or the zone of the organization cannot be used, or the
            rules take too long.
    """
    rules = rules_of(connection, organization_id)
    scores = lead_scores.scores_at(connection, organization_id, instant, reporting_zone, chosen)
    patience = lead_scores.longest_seconds(connection, organization_id, rules)
    with statement_timeout(connection, patience):
        create_temporary(connection, "scored_leads", _that_differ(scores))
    connection.exec_driver_sql("drop table if exists changed_leads")
    connection.execute(read_sql("create_changed_leads"))
    stored = contacts.c
    is_left: sa.ColumnElement[bool] = sa.false()
    if chosen is None:
        is_left = has_newer_signal(connection, organization_id, instant)
    found = (
        sa.select(_scored)
        .join(contacts, stored.id == _scored.c.contact_id)
        .where(sa.not_(is_left))
        .order_by(stored.id)
        .with_for_update(of=contacts, key_share=True)
        .cte("found")
        .c
    )
    changed = (
        sa.update(contacts)
        .where(
            stored.id == found.contact_id,
            stored.lead_grade.is_not_distinct_from(found.was),
        )
        .values(lead_score=found.score, lead_grade=found.grade)
        .returning(stored.id, found.was, found.grade, found.score)
        .cte("changed")
    )
    insert = sa.insert(_changed).from_select(
        ["contact_id", "was", "grade", "score"], sa.select(changed)
    )
    number = connection.execute(insert.execution_options(preserve_rowcount=True)).rowcount
    was = sa.func.coalesce(_changed.c.was, "F")
    payload = sa.func.jsonb_build_object(
        "from", was, "to", _changed.c.grade, "score", _changed.c.score,
        "tick", sa.literal(instant, sa.DateTime(timezone=True)), type_=pg.JSONB,
    )  # fmt: skip
    graded = sa.select(
        sa.literal(organization_id, sa.BigInteger).label("organization_id"),
        _changed.c.contact_id,
        payload.label("payload"),
    ).where(was != _changed.c.grade)
    bus.publish_rows(connection, LeadGraded, graded)
    return number


def _that_differ(scores: sa.Select[tuple[object, ...]]) -> sa.Select[tuple[object, ...]]:
    """Narrows scores to the ones that are not stored yet, and adds the stored grade, `was`."""
    found, stored = scores.subquery("found"), contacts.c
    return (
        sa.select(found, stored.lead_grade.label("was"))
        .join(contacts, stored.id == found.c.contact_id)
        .where(
            sa.or_(
                stored.lead_score.is_distinct_from(found.c.score),
                stored.lead_grade.is_distinct_from(found.c.grade),
            )
        )
    )
