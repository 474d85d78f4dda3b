"""Tables of deals and opportunities."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import FOR_EVER, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    one_of,
    organization_id,
)

DEAL_STATUSES = ("open", "won", "lost")

deals = sa.Table(
    "deals",
    metadata,
    identity("Deal number"),
    organization_id(),
    sa.Column(
        "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
    ),
    sa.Column("name", sa.Text, comment="Display name"),
    sa.Column(
        "contact_id", sa.BigInteger, sa.ForeignKey("crm.contacts.id"), comment="Contact of the deal"
    ),
    sa.Column(
        "company_id",
        sa.BigInteger,
        sa.ForeignKey("crm.companies.id"),
        comment="Company of the deal",
    ),
    sa.Column(
        "owner_id",
        sa.BigInteger,
        sa.ForeignKey("crm.users.id"),
        comment="User responsible for the deal",
    ),
    sa.Column("pipeline", sa.Text, comment="Pipeline, as the source names it"),
    sa.Column("stage", sa.Text, comment="Stage of the pipeline, as the source names it"),
    sa.Column(
        "status",
        sa.Text,
        server_default="open",
        comment="open, won or lost; null = only rows about the deal named it so far (a stub)",
    ),
    sa.Column("amount", sa.Numeric, comment="Value in the currency"),
    sa.Column("currency", sa.Text, comment="Currency of the amount, such as EUR"),
    sa.Column("expected_close_on", sa.Date, comment="Day on which it should close"),
    instant("closed_at", "When it was won or lost"),
    instant("stage_changed_at", "When stage or status changed last"),
    sa.Column(
        "tags",
        pg.ARRAY(sa.Text),
        nullable=False,
        server_default=sa.text("'{}'::text[]"),
        comment="Tags",
    ),
    json_object("attributes", "Columns of loaded files that have no column here"),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.CheckConstraint(one_of("status", DEAL_STATUSES), name="status"),
    sa.CheckConstraint("amount >= 0", name="amount"),
    sa.Index("ix_deals_contact_id", "contact_id"),
    sa.Index("ix_deals_organization_id_created_at", "organization_id", "created_at"),
    sa.Index("ix_deals_open", "organization_id", postgresql_where=sa.text("status = 'open'")),
    info=owned(
        keep=FOR_EVER,
        person=Person(by="contact_id", erase="empty", mask=("name", "tags", "attributes")),
    ),
    schema="crm",
    comment="Deals: sales that are open, won or lost",
)

deal_stage_history = sa.Table(
    "deal_stage_history",
    metadata,
    identity("Row number; of one deal, later changes have greater ones"),
    organization_id(),
    sa.Column(
        "deal_id",
        sa.BigInteger,
        sa.ForeignKey("crm.deals.id", ondelete="CASCADE"),
        nullable=False,
        comment="Deal",
    ),
    sa.Column("from", sa.Text, comment="Stage before; null in the first row of a deal"),
    sa.Column("to", sa.Text, comment="Stage after"),
    sa.Column("from_status", sa.Text, comment="Status before; null in the first row of a deal"),
    sa.Column("to_status", sa.Text, nullable=False, comment="Status after: open, won or lost"),
    instant("at", "When it changed; the first row: when the deal came to be", nullable=False),
    sa.Index("ix_deal_stage_history_deal_id", "deal_id", "at"),
    sa.Index("ix_deal_stage_history_organization_id_at", "organization_id", "at"),
    info=owned(keep=FOR_EVER),
    schema="crm",
    comment="Changes of the stage or status of deals, written by a trigger; the first row of a "
    "deal, whose `from_status` is null, is its beginning and no change",
)

opportunities = sa.Table(
    "opportunities",
    metadata,
    identity("Opportunity number"),
    organization_id(),
    sa.Column(
        "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
    ),
    sa.Column(
        "contact_id", sa.BigInteger, sa.ForeignKey("crm.contacts.id"), comment="Contact who travels"
    ),
    sa.Column("stage", sa.Text, comment="Stage, as the source names it"),
    sa.Column("travel_date", sa.Date, comment="Day on which the travel begins"),
    sa.Column(
        "score",
        sa.Integer,
        nullable=False,
        server_default=sa.text("0"),
        comment="Base score, to which the points of the ledger are added",
    ),
    sa.Column(
        "deleted",
        sa.Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="True if the source deleted it; then it earns no points",
    ),
    json_object("attributes", "Columns of loaded files that have no column here"),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.Index("ix_opportunities_organization_id_travel_date", "organization_id", "travel_date"),
    sa.Index("ix_opportunities_contact_id", "contact_id"),
    info=owned(keep=FOR_EVER, person=Person(by="contact_id", erase="delete")),
    schema="crm",
    comment="Opportunities of travel; `leads.opportunity_points` is the ledger of their points",
)
