"""Tables of the schema `leads`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.tables import BANDS
from marketing_pipelines.stores.ownership import EMPTIED, FOR_EVER, Keep, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    metadata,
    one_of,
    organization_id,
)

COUNTS = ("once", "each", "per_day")
SCORES = ("intent", "lead")

score_rules = sa.Table(
    "score_rules",
    metadata,
    identity("Rule number"),
    organization_id(),
    sa.Column(
        "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
    ),
    sa.Column("name", sa.Text, comment="Display name"),
    sa.Column("rule", pg.JSONB, nullable=False, comment="Segment rule that earns the points"),
    sa.Column("points", sa.Integer, nullable=False, comment="Points, negative ones too"),
    sa.Column(
        "counts",
        sa.Text,
        nullable=False,
        server_default="once",
        comment="once: if the rule holds; each: for each occurrence; per_day: for each day",
    ),
    sa.Column("most", sa.Integer, comment="Most points of the rule, without sign; null = any"),
    sa.Column(
        "enabled",
        sa.Boolean,
        nullable=False,
        server_default=sa.true(),
        comment="False if the rule earns nothing",
    ),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint(one_of("counts", COUNTS), name="counts"),
    sa.CheckConstraint("most > 0", name="most"),
    info=owned(keep=FOR_EVER),
    schema="leads",
    comment="Rules of lead scores; an organization without any has those of docs/leads.md",
)

intent_days = sa.Table(
    "intent_days",
    metadata,
    sa.Column(
        "contact_id",
        sa.BigInteger,
        sa.ForeignKey("crm.contacts.id"),
        primary_key=True,
        autoincrement=False,
        comment="Contact",
    ),
    sa.Column("date", sa.Date, primary_key=True, comment="Day in the reporting zone"),
    organization_id(),
    sa.Column("score", sa.Integer, nullable=False, comment="Intent score at the end of the day"),
    sa.Column("band", sa.Text, nullable=False, comment=", ".join(BANDS)),
    sa.CheckConstraint(one_of("band", BANDS), name="band"),
    sa.Index("ix_intent_days_date", "date", "organization_id"),
    info=owned(keep=Keep("date", days=400), person=Person(by="contact_id", erase="delete")),
    schema="leads",
    comment="Intent scores of each day, of contacts with a signal that counts",
)

opportunity_points = sa.Table(
    "opportunity_points",
    metadata,
    sa.Column(
        "opportunity_id",
        sa.BigInteger,
        sa.ForeignKey("crm.opportunities.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="Opportunity",
    ),
    sa.Column(
        "date",
        sa.Date,
        primary_key=True,
        comment="Day of the partition; the travel is as many days ahead as the calendar says",
    ),
    organization_id(),
    sa.Column("points", sa.Integer, nullable=False, comment="Points that the day adds"),
    sa.Index("ix_opportunity_points_date", "date", "organization_id"),
    info=owned(
        keep=FOR_EVER, person=Person(by="opportunity_id", of="crm.opportunities", erase="delete")
    ),
    schema="leads",
    comment="Ledger of points of opportunities; score = base score + their sum",
)

signal_arrivals = sa.Table(
    "signal_arrivals",
    metadata,
    identity("Arrival number"),
    sa.Column("organization_id", sa.BigInteger, nullable=False, comment="Organization (tenant)"),
    sa.Column("contact_id", sa.BigInteger, nullable=False, comment="Contact of the signals"),
    sa.Column(
        "is_signal",
        sa.Boolean,
        nullable=False,
        server_default=sa.true(),
        comment="True if they are signals of interest; false if score rules alone read them",
    ),
    instant("first_at", "When the earliest of them happened", nullable=False),
    instant("last_at", "When the latest of them happened", nullable=False),
    sa.Index("ix_signal_arrivals_organization_id", "organization_id", "id"),
    info=owned(keep=EMPTIED, person=Person(by="contact_id", erase="delete")),
    schema="leads",
    comment="Signals of interest, and other events that score rules read, stored since the contact "
    "was scored: a row for each contact and statement",
)

scorings = sa.Table(
    "scorings",
    metadata,
    identity("Scoring number"),
    organization_id(),
    sa.Column("contact_id", sa.BigInteger, comment="Contact; null = all of the organization"),
    sa.Column("score", sa.Text, nullable=False, comment=", ".join(SCORES)),
    instant("at", "Latest instant as of which it was scored", nullable=False),
    sa.UniqueConstraint(
        "organization_id", "contact_id", "score", postgresql_nulls_not_distinct=True
    ),
    sa.CheckConstraint(one_of("score", SCORES), name="score"),
    info=owned(keep=FOR_EVER, person=Person(by="contact_id", erase="delete")),
    schema="leads",
    comment="The latest instants as of which contacts were scored by themselves, and organizations "
    "as a whole: scores of an earlier one do not replace them",
)
