"""Tables of the schema `sales`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import FOR_EVER, Keep, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    one_of,
    organization_id,
)

ENDS = ("activity", "won", "lost")


def _list(name: str, comment: str) -> sa.Column[object]:
    return sa.Column(
        name, pg.JSONB, nullable=False, server_default=sa.text("'[]'::jsonb"), comment=comment
    )


stale_deals = sa.Table(
    "stale_deals",
    metadata,
    sa.Column(
        "deal_id",
        sa.BigInteger,
        sa.ForeignKey("crm.deals.id", ondelete="CASCADE"),
        primary_key=True,
        comment="Deal",
    ),
    instant(
        "silent_since",
        "Latest activity, or when the deal came to be: the begin of the period",
        primary_key=True,
    ),
    organization_id(),
    instant("stale_at", "Tick at which it was stale", nullable=False),
    instant("at_risk_at", "Tick at which it was at risk; null = it was not"),
    instant("ended_at", "Tick at which the period was over; null = it lasts"),
    sa.Column("ended_by", sa.Text, comment="Why it is over: activity, or the deal is won or lost"),
    sa.CheckConstraint(one_of("ended_by", ENDS), name="ended_by"),
    sa.CheckConstraint("(ended_at is null) = (ended_by is null)", name="ended"),
    sa.Index(
        "ix_stale_deals_open", "organization_id", postgresql_where=sa.text("ended_at is null")
    ),
    sa.Index("ix_stale_deals_stale_at", "organization_id", "stale_at"),
    info=owned(keep=FOR_EVER),
    schema="sales",
    comment="Periods in which an open deal was stale, one row per deal and begin of the silence",
)

meeting_briefs = sa.Table(
    "meeting_briefs",
    metadata,
    identity("Brief number"),
    organization_id(),
    sa.Column(
        "meeting_id",
        sa.BigInteger,
        sa.ForeignKey("crm.meetings.id", ondelete="CASCADE"),
        nullable=False,
        comment="Meeting",
    ),
    sa.Column("version", sa.Text, nullable=False, comment="Hash of the meeting's begin"),
    sa.Column("headline", sa.Text, nullable=False, comment="Minutes, names and company"),
    _list("key_points", "Statements, each with the rows that it comes from"),
    _list("talking_points", "Recommended topics, each with the rows that it comes from"),
    _list("questions", "Questions to ask"),
    json_object("facts", "What is known, by row, e.g. deal:17"),
    sa.Column("writer", sa.Text, nullable=False, comment="rules, or model: and its name"),
    instant("created_at", "Tick at which it was written", nullable=False),
    sa.UniqueConstraint("meeting_id", "version"),
    sa.Index("ix_meeting_briefs_organization_id", "organization_id", "created_at"),
    sa.Index("ix_meeting_briefs_created_at", "created_at"),
    info=owned(
        keep=Keep("created_at", days=400),
        person=Person(
            by="meeting_id",
            of="crm.meetings",
            erase="empty",
            mask=("headline", "key_points", "talking_points", "questions", "facts"),
        ),
    ),
    schema="sales",
    comment="Briefs of meetings, one per meeting and begin",
)

insights = sa.Table(
    "insights",
    metadata,
    identity("Insight number"),
    organization_id(),
    sa.Column("date", sa.Date, nullable=False, comment="Day described, in the reporting zone"),
    json_object("metrics", "Numbers of the day"),
    _list("trends", "Metrics against the same weekday of the eight weeks before"),
    _list("attention", "Statements that need attention"),
    _list("recommendations", "Recommended actions, each with the rule that made it"),
    sa.Column("writer", sa.Text, nullable=False, comment="rules, or model: and its name"),
    sa.Column("digest", sa.Text, nullable=False, comment="Hash of the rules' numbers and texts"),
    instant("created_at", "Tick at which it was written", nullable=False),
    sa.UniqueConstraint("organization_id", "date"),
    sa.Index("ix_insights_date", "date"),
    info=owned(keep=Keep("date", days=400), mentions=("trends", "attention", "recommendations")),
    schema="sales",
    comment="Insights of each organization and day",
)
