"""Bus events in the timeline of contacts and deals."""

from collections.abc import Sequence
from importlib import resources

import sqlalchemy as sa


def log_bus_events(connection: sa.Connection, event_ids: Sequence[int]) -> int:
    """Writes submitted forms and changed stages of deals into `crm.activities`.

    Returns:
        Number of new activities.
    """
    folder = resources.files(__package__) / "sql"
    statement = sa.text((folder / "log_bus_events.sql").read_text(encoding="utf-8"))
    return connection.execute(statement, {"ids": list(event_ids)}).rowcount
