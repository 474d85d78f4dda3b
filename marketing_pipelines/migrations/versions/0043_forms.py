"""Forms whose answers stand in sheets, their readings and submissions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def _instant(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _object(name: str) -> sa.Column[object]:
    return sa.Column(name, pg.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False)


def _names(name: str) -> sa.Column[object]:
    return sa.Column(
        name, pg.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False
    )


def _organization_of(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id"], ["crm.organizations.id"], name=op.f(f"fk_{table}_organization_id")
    )


def upgrade() -> None:
    op.execute("create schema forms")
    op.create_table(
        "forms",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("spreadsheet_id", sa.Text(), nullable=False),
        sa.Column("sheet", sa.Text(), nullable=False),
        sa.Column("header_row", sa.Integer(), server_default=sa.text("1"), nullable=False),
        _object("mapping"),
        _names("key_columns"),
        sa.Column("connection_id", sa.BigInteger()),
        sa.Column("backfill", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.func.now(),
            nullable=False,
        ),
        _organization_of("forms"),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["integrations.connections.id"],
            name=op.f("fk_forms_connection_id"),
            ondelete="set null",
        ),
        sa.CheckConstraint("header_row between 1 and 1000", name=op.f("ck_forms_header_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forms")),
        sa.UniqueConstraint(
            "organization_id", "external_id", name=op.f("uq_forms_organization_id_external_id")
        ),
        schema="forms",
    )
    op.create_index("ix_forms_connection_id", "forms", ["connection_id"], schema="forms")
    op.create_table(
        "readings",
        sa.Column("form_id", sa.BigInteger(), autoincrement=False, nullable=False),
        _instant("first_tick"),
        _instant("last_tick"),
        _instant("tried_at", nullable=False),
        sa.Column("rows", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("spreadsheet_id", sa.Text()),
        sa.Column("sheet", sa.Text()),
        _object("mapping"),
        _names("key_columns"),
        sa.ForeignKeyConstraint(
            ["form_id"], ["forms.forms.id"], name=op.f("fk_readings_form_id"), ondelete="cascade"
        ),
        sa.PrimaryKeyConstraint("form_id", name=op.f("pk_readings")),
        schema="forms",
    )
    op.create_table(
        "submissions",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("form_id", sa.BigInteger(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("row_hash", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("copies", sa.Integer(), nullable=False),
        sa.Column("contact_id", sa.BigInteger()),
        _object("data"),
        _instant("submitted_at", nullable=False),
        _instant("first_seen_at", nullable=False),
        _instant("missing_since"),
        sa.Column("reason", sa.Text()),
        _organization_of("submissions"),
        sa.ForeignKeyConstraint(
            ["form_id"], ["forms.forms.id"], name=op.f("fk_submissions_form_id")
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["crm.contacts.id"], name=op.f("fk_submissions_contact_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submissions")),
        sa.UniqueConstraint("form_id", "identity", name=op.f("uq_submissions_form_id_identity")),
        schema="forms",
    )
    op.create_index("ix_submissions_contact_id", "submissions", ["contact_id"], schema="forms")
    op.create_index(
        "ix_submissions_organization_id_submitted_at",
        "submissions",
        ["organization_id", "submitted_at"],
        schema="forms",
    )
