"""The table of requests, in the schema `delivery`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import FOR_EVER, owned
from marketing_pipelines.stores.tables import identity, instant, metadata, organization_id

requests = sa.Table(
    "requests",
    metadata,
    identity("Request number"),
    organization_id(),
    sa.Column(
        "idempotency_key",
        sa.Text,
        nullable=False,
        comment="The application's own key",
    ),
    sa.Column(
        "body_digest", sa.Text, nullable=False, comment="Hash of the body, its keys in order"
    ),
    sa.Column(
        "message_ids",
        pg.ARRAY(sa.BigInteger),
        nullable=False,
        server_default=sa.text("'{}'::bigint[]"),
        comment="The message of each recipient, in the order of the body",
    ),
    instant("created_at", "When it arrived", nullable=False),
    sa.UniqueConstraint("organization_id", "idempotency_key"),
    info=owned(keep=FOR_EVER, mentions=("idempotency_key",)),
    schema="delivery",
    comment="Requests of applications that named a key, each done once",
)
