"""Stores lead scores and grades where they change, and publishes changed grades."""

import datetime as dt
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.leads import lead_scores, score_writing
from marketing_pipelines.domains.leads.intent import Chosen
from marketing_pipelines.domains.leads.score_rules import rules_of
from marketing_pipelines.domains.segments.preview import statement_timeout
from marketing_pipelines.stores.temporary import create_temporary

_scored = sa.table(
    "scored_leads",
    sa.column("contact_id", sa.BigInteger),
    sa.column("score", sa.Integer),
    sa.column("grade", sa.Text),
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
    a better one. Contacts that were scored as of a later instant keep their scores.

    Args:
        connection: In a transaction of read committed.
        chosen: Contacts that are locked; None: all of the organization.

    Returns:
        Number of changed contacts.

    Raises:
        BadInputError: a rule, the settings or the zone of the organization cannot be used, or the
            rules take too long.
    """
    if score_writing.is_outdated(connection, score_writing.LEAD, organization_id, instant):
        return 0
    rules = rules_of(connection, organization_id)
    scores = lead_scores.scores_at(connection, organization_id, instant, reporting_zone, chosen)
    patience = lead_scores.longest_seconds(connection, organization_id, rules)
    with statement_timeout(connection, patience):
        create_temporary(connection, "scored_leads", _that_differ(scores))
    scored = sa.select(_scored.c.score, _scored.c.grade.label("rank")).select_from(
        contacts.join(_scored, contacts.c.id == _scored.c.contact_id)
    )
    return score_writing.write_changes(
        connection, score_writing.LEAD, organization_id, instant, scored, chosen
    )


def _that_differ(scores: sa.Select[tuple[object, ...]]) -> sa.Select[tuple[object, ...]]:
    """Narrows scores to the ones that are not stored yet."""
    found, stored = scores.subquery("found"), contacts.c
    return (
        sa.select(found)
        .join(contacts, stored.id == found.c.contact_id)
        .where(
            sa.or_(
                stored.lead_score.is_distinct_from(found.c.score),
                stored.lead_grade.is_distinct_from(found.c.grade),
            )
        )
    )
