"""Export files that may hold a person: they go, and exports under way are cancelled.

Every export of the organization may have rows of the person, but for numbers by campaign. The first
removal after the rows are erased takes them all; later ones have none of its rows, except those of
events: their values go with the lake.
"""

from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.exports.tables import requests
from marketing_pipelines.domains.upkeep.erasing.files import remove_stored
from marketing_pipelines.settings import Settings


def remove(
    engine: sa.Engine, settings: Settings, erasure: Any, *, events_only: bool = False
) -> int:
    """Removes the files of exports that may hold the person; returns how many.

    A file goes before its row forgets it, so a process that is killed in between does it again.

    Args:
        erasure: The row of the erasure, whose rows are erased.
        events_only: True: a former call has removed those of other kinds.

    Raises:
        StoreUnavailableError: the store does not answer.
    """
    may_hold = sa.and_(
        requests.c.organization_id == erasure.organization_id,
        requests.c.kind != "campaign_stats",
        requests.c.kind == "events" if events_only else sa.true(),
    )
    with engine.begin() as connection:
        connection.execute(
            sa.update(requests)
            .where(may_hold, requests.c.state == "running")
            .values(
                state="cancelled",
                ended_at=sa.func.now(),
                error="A person was erased meanwhile: ask for the export again.",
            )
        )
        found = connection.execute(
            sa.select(requests.c.id, requests.c.file).where(may_hold, requests.c.file.is_not(None))
        ).all()
    remove_stored(settings, [row.file for row in found])
    with engine.begin() as connection:
        connection.execute(
            sa.update(requests)
            .where(requests.c.id.in_([row.id for row in found]))
            .values(
                file=None,
                state=sa.case((requests.c.state == "ready", "expired"), else_=requests.c.state),
            )
        )
    return len(found)
