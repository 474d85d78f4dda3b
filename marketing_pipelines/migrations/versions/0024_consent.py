"""Categories of messages, and subscriptions to them with their history."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

MODES = "mode in ('opt_out', 'opt_in', 'double_opt_in')"
STATES = "state in ('subscribed', 'unconfirmed', 'unsubscribed')"


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False)


def _organization(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["crm.organizations.id"], name=op.f(f"fk_{table}_organization_id")
        ),
    ]


def _instant(name: str) -> sa.Column[object]:
    now = sa.text("now()")
    return sa.Column(name, sa.DateTime(timezone=True), server_default=now, nullable=False)


def upgrade() -> None:
    op.create_table(
        "categories",
        _id(),
        *_organization("categories"),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("mode", sa.Text(), server_default="opt_out", nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _instant("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_categories")),
        sa.UniqueConstraint(
            "organization_id", "external_id", name=op.f("uq_categories_organization_id_external_id")
        ),
        sa.CheckConstraint(MODES, name=op.f("ck_categories_mode")),
        schema="delivery",
    )
    op.create_table(
        "subscriptions",
        _id(),
        *_organization("subscriptions"),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("category_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("source", sa.Text()),
        sa.Column("evidence", pg.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        _instant("changed_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        sa.ForeignKeyConstraint(
            ["category_id"], ["delivery.categories.id"], name=op.f("fk_subscriptions_category_id")
        ),
        sa.UniqueConstraint(
            "contact_id", "category_id", name=op.f("uq_subscriptions_contact_id_category_id")
        ),
        sa.CheckConstraint(STATES, name=op.f("ck_subscriptions_state")),
        schema="delivery",
    )
    op.create_index(
        "ix_subscriptions_left",
        "subscriptions",
        ["category_id", "address"],
        schema="delivery",
        postgresql_where=sa.text("state = 'unsubscribed'"),
    )
    op.create_table(
        "subscription_changes",
        _id(),
        *_organization("subscription_changes"),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("category_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("source", sa.Text()),
        sa.Column("evidence", pg.JSONB(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription_changes")),
        schema="delivery",
    )
    op.create_index(
        "ix_subscription_changes_contact_id",
        "subscription_changes",
        ["contact_id"],
        schema="delivery",
    )
    op.add_column("messages", sa.Column("category_id", sa.BigInteger()), schema="delivery")
