"""The table of destinations."""

import sqlalchemy as sa

from marketing_pipelines.stores.ownership import FOR_EVER, owned
from marketing_pipelines.stores.tables import identity, instant, metadata, organization_id

destinations = sa.Table(
    "destinations",
    metadata,
    identity("Destination number"),
    organization_id(),
    sa.Column(
        "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
    ),
    sa.Column("name", sa.Text, comment="Display name"),
    sa.Column("url", sa.Text, comment="Web page"),
    instant("updated_at", "Latest change, as the content service says"),
    instant("gone_at", "Tick whose complete listing did not have it any more; null = it is there"),
    sa.Column("listed_by", sa.BigInteger, comment="Connection that lists it; null = only a file"),
    sa.Column(
        "page",
        sa.Text,
        comment="Cursor of the page that lists it; empty = the first, null = none now",
    ),
    instant("created_at", "When the row came to be", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.Index("ix_destinations_listed_by", "listed_by", "page"),
    info=owned(keep=FOR_EVER),
    schema="crm",
    comment="Destinations that organizations sell, with their web pages",
)
