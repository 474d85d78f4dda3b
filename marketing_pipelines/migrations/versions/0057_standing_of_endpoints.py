"""Endpoints know when they were enabled, how often they paused and when they were slow.

Patterns of the time before the rule that a star is a whole part become the next wider ones that
keep it. Events of health are numbered by microseconds. Waiting tasks have payloads of the release
before: the sensor makes new ones.
"""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        "endpoints",
        sa.Column("pauses", sa.Integer, server_default=sa.text("0"), nullable=False),
        schema="webhooks",
    )
    op.add_column("endpoints", sa.Column("slow_at", _INSTANT), schema="webhooks")
    op.add_column("endpoints", sa.Column("enabled_at", _INSTANT), schema="webhooks")
    op.create_index(
        op.f("ix_deliveries_failed"),
        "deliveries",
        ["endpoint_id", "due_at", "id"],
        schema="webhooks",
        postgresql_where=sa.text("state = 'failed'"),
    )
    op.execute(
        "delete from procrastinate_jobs where task_name = 'webhooks/deliver' and status = 'todo'"
    )
    op.execute(_WIDER_PATTERNS)
    op.execute(
        "update webhooks.deliveries set event_id = 'health:' ||"
        " (extract(epoch from (data ->> 'at')::timestamptz) * 1000000)::bigint"
        " where type = 'health.changed' and event_id like 'health:%'"
    )
    op.execute(
        "update webhooks.deliveries"
        " set response = regexp_replace(response, '[[:cntrl:]]+', ' ', 'g')"
        " where response ~ '[[:cntrl:]]'"
    )


# A part with a star in it becomes the star; of more than four parts, the first four stay.
_WIDER_PATTERNS = r"""
    update webhooks.endpoints as endpoint
    set event_types = array(
        select distinct array_to_string((string_to_array(
            regexp_replace(pattern, '[^.]*[*][^.]*', '*', 'g'), '.'))[1:4], '.')
        from unnest(endpoint.event_types) as pattern
    )
    where exists (
        select from unnest(endpoint.event_types) as pattern
        where pattern !~ '^([*]|[a-z0-9_]+)([.]([*]|[a-z0-9_]+)){0,3}$'
    )
"""
