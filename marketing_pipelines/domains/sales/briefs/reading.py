"""Briefs as people read them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.sales.sql_files import read_sql

MAX_SHOWN = 50


def latest_briefs(connection: sa.Connection) -> Sequence[Any]:
    """The latest 50 briefs, the latest first; statements as tables hold them."""
    return connection.execute(read_sql("latest_briefs"), {"most": MAX_SHOWN}).all()
