"""Messages without the state `sending`: a row of `delivery.handovers` says it."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        insert into delivery.handovers (message_id, claim, leased_until)
        select id, claim, coalesce(leased_until, now())
        from delivery.messages
        where state = 'sending'
        on conflict do nothing
    """)
    op.execute("""
        update delivery.messages
        set state = 'claimed', leased_until = coalesce(leased_until, now())
        where state = 'sending'
    """)
    op.drop_constraint("ck_messages_state", "messages", schema="delivery", type_="check")
    op.create_check_constraint(
        "ck_messages_state",
        "messages",
        "state in ('queued', 'claimed', 'sent', 'delivered', 'bounced', 'suppressed', 'failed', "
        "'unknown')",
        schema="delivery",
    )
    op.drop_index("ix_messages_leased", table_name="messages", schema="delivery")
    op.create_index(
        "ix_messages_leased",
        "messages",
        ["channel", "leased_until"],
        schema="delivery",
        postgresql_where=sa.text("state = 'claimed'"),
    )
    op.create_index(
        "ix_contacts_of_requests",
        "contacts",
        ["id"],
        schema="crm",
        postgresql_where=sa.text("source = 'api'"),
        if_not_exists=True,
    )
