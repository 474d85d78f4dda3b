"""Tables of the schema `integrations`."""

import sqlalchemy as sa

from marketing_pipelines.stores.ownership import FOR_EVER, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    one_of,
    organization_id,
)

STATES = ("ok", "failing", "reconnect")

connections = sa.Table(
    "connections",
    metadata,
    identity("Connection number"),
    organization_id(),
    sa.Column("provider", sa.Text, nullable=False, comment="Kind of system, such as leadsquared"),
    sa.Column(
        "external_id",
        sa.Text,
        nullable=False,
        server_default="",
        comment="Which of several connections of the provider, such as a domain; empty = the one",
    ),
    json_object("settings", "Address and options, without secrets"),
    sa.Column("secrets", sa.Text, comment="Keys and passwords, encrypted; null = it needs none"),
    sa.Column(
        "state",
        sa.Text,
        nullable=False,
        server_default="ok",
        comment="ok, failing (tried again) or reconnect (waits for other secrets)",
    ),
    instant("last_ok_at", "Tick of the latest synchronization without an error"),
    sa.Column("error", sa.Text, comment="Why it is not ok"),
    instant("changed_at", "Latest change by a person", nullable=False),
    instant("expires_at", "End of the access token of a grant; null = it has none"),
    instant("refresh_expires_at", "End of the refresh token of a grant; null = unknown"),
    instant(
        "refused_at",
        "First refusal of the refresh token of a grant; null = none since it was stored",
    ),
    sa.Column("given_hash", sa.Text, comment="SHA-256 of the refresh token that a person gave"),
    sa.UniqueConstraint("organization_id", "provider", "external_id"),
    sa.CheckConstraint(one_of("state", STATES), name="state"),
    info=owned(keep=FOR_EVER, mentions=("error",)),
    schema="integrations",
    comment="Connections of organizations to other systems",
)

syncs = sa.Table(
    "syncs",
    metadata,
    sa.Column(
        "connection_id",
        sa.BigInteger,
        sa.ForeignKey("integrations.connections.id", ondelete="cascade"),
        primary_key=True,
        autoincrement=False,
        comment="Connection",
    ),
    sa.Column("what", sa.Text, primary_key=True, comment="Synchronized rows, such as leads"),
    instant("tried_at", "Tick of the latest attempt"),
    instant("last_ok_at", "Tick of the latest synchronization without an error"),
    instant("last_tick", "Up to this instant everything is synchronized"),
    sa.Column("backlog", sa.BigInteger, comment="Rows still to do; null = that is not known"),
    instant("next_at", "No call before this"),
    sa.Column("error", sa.Text, comment="Why the latest one failed; null = it did not"),
    instant("overdue_at", "Without progress until then it is overdue", nullable=False),
    json_object(
        "pages",
        "Pages of a listing: its version (ETag) and the page after it; or a window in work; of a "
        "mailbox the mail at which reading a folder ends, and a login that was refused",
    ),
    info=owned(keep=FOR_EVER, mentions=("error", "pages")),
    schema="integrations",
    comment="Standing of the synchronizations over each connection",
)
