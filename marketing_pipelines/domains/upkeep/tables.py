"""The table of the rules of retention that were applied."""

import sqlalchemy as sa

from marketing_pipelines.stores.ownership import FOR_EVER, owned
from marketing_pipelines.stores.tables import instant, metadata

retention = sa.Table(
    "retention",
    metadata,
    sa.Column("table_name", sa.Text, primary_key=True, comment="Table with its schema"),
    sa.Column(
        "days", sa.Integer, nullable=False, comment="Days that its rows stay, as last applied"
    ),
    instant(
        "first_tick",
        "Tick that counted the old rows and removed none; later ticks remove",
        nullable=False,
    ),
    instant("last_tick", "Latest tick that applied the rule", nullable=False),
    sa.Column("old_rows", sa.BigInteger, nullable=False, comment="Old rows at the first tick"),
    sa.Column(
        "removed_rows",
        sa.BigInteger,
        nullable=False,
        server_default="0",
        comment="Rows removed since",
    ),
    info=owned(keep=FOR_EVER),
    schema="ops",
    comment="Rules of retention: since when each table's old rows are removed, and how many were",
)
