"""Briefs as people read them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.sales.sql_files import read_sql

MAX_SHOWN = 50


def latest_briefs(connection: sa.Connection, meeting_id: int | None = None) -> Sequence[Any]:
    """The latest 50 briefs, the latest first; statements as tables hold them.

    Args:
        meeting_id: Number of a meeting; None: of all meetings.
    """
    values = {"most": MAX_SHOWN, "meeting_id": meeting_id}
    return connection.execute(read_sql("latest_briefs"), values).all()
