"""Tables of the API: tokens, sign-ins, the audit log."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import EMPTIED, FOR_EVER, Keep, owned
from marketing_pipelines.stores.tables import identity, instant, metadata

tokens = sa.Table(
    "tokens",
    metadata,
    identity("Token number"),
    sa.Column("name", sa.Text, nullable=False, comment="Its user or purpose"),
    sa.Column(
        "scopes",
        pg.ARRAY(sa.Text),
        nullable=False,
        comment="Scopes: read, write, trigger; admin allows everything",
    ),
    sa.Column(
        "secret_hash", pg.BYTEA, nullable=False, comment="SHA-256 of the secret, which is not kept"
    ),
    sa.Column(
        "organization_id",
        sa.BigInteger,
        sa.ForeignKey("crm.organizations.id"),
        comment="The one organization that it is good for; null = the whole installation",
    ),
    instant("created_at", "When it was made", nullable=False, server_default=sa.func.now()),
    instant("revoked_at", "From when on it is refused"),
    sa.CheckConstraint(
        "cardinality(scopes) > 0 and scopes <@ array['read', 'write', 'trigger', 'admin']",
        name="scopes",
    ),
    info=owned(keep=FOR_EVER),
    schema="ops",
    comment="Bearer tokens of the API",
)

user_sessions = sa.Table(
    "user_sessions",
    metadata,
    identity("Number of the sign-in"),
    sa.Column(
        "token_id",
        sa.BigInteger,
        sa.ForeignKey("ops.tokens.id"),
        nullable=False,
        comment="Token of the sign-in",
    ),
    instant("created_at", "Time of the sign-in", nullable=False),
    instant("last_seen_at", "Time of a late call, to the minute", nullable=False),
    instant("expires_at", "End of the sign-in, 12 hours after it", nullable=False),
    sa.Index("ix_user_sessions_token_id", "token_id"),
    info=owned(keep=EMPTIED),
    schema="ops",
    comment="Sign-ins to the pages and the Dagster UI; signing out and revoking the token delete "
    "them",
)

audit_log = sa.Table(
    "audit_log",
    metadata,
    identity("Entry number"),
    instant("asked_at", "When it was asked", nullable=False),
    sa.Column(
        "token_id", sa.BigInteger, sa.ForeignKey("ops.tokens.id"), comment="Token of the call"
    ),
    sa.Column(
        "actor", sa.Text, nullable=False, comment="Name of the token, `cron secret` or `unknown`"
    ),
    sa.Column("address", sa.Text, comment="Network address of the caller"),
    sa.Column("method", sa.Text, nullable=False, comment="HTTP method"),
    sa.Column("path", sa.Text, nullable=False, comment="Path of the call, without query"),
    sa.Column(
        "organization_id",
        sa.BigInteger,
        sa.ForeignKey("crm.organizations.id"),
        comment="Organization of a call below /v1; null = none, or several",
    ),
    sa.Column(
        "status",
        sa.SmallInteger,
        comment="HTTP status of the answer; null: the process ended before it answered",
    ),
    sa.Column(
        "calls",
        sa.Integer,
        nullable=False,
        server_default="1",
        comment="Calls that the entry stands for; more than one: calls without a valid token, "
        "beyond the first of their minute",
    ),
    sa.Index("ix_audit_log_asked_at", "asked_at"),
    info=owned(keep=Keep("asked_at", days=90, job="upkeep/audit_logs"), mentions=("actor", "path")),
    schema="ops",
    comment="Every call of the API's addresses for applications, operators and schedulers, refused "
    "ones included",
)
