"""The timeline of contacts, for readers of their messages and activities."""

import datetime as dt
from collections.abc import Sequence
from importlib import resources
from typing import Any

import sqlalchemy as sa

LATEST = 100


def timeline_of(
    connection: sa.Connection, contacts: Sequence[int], now: dt.datetime
) -> Sequence[sa.Row[Any]]:
    """The latest 100 entries of the timeline of contacts before an instant, newest first."""
    file = resources.files(__package__).joinpath("sql", "timeline_of.sql")
    values = {"contacts": list(contacts), "now": now, "limit": LATEST}
    return connection.execute(sa.text(file.read_text(encoding="utf-8")), values).all()
