"""Made-up activity of the organizations of the demo: an hour of it for each tick."""

import datetime as dt
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.runs.tick import Tick

HOUR = dt.timedelta(hours=1)


def add_activity(tick: Tick) -> None:
    """Adds the activity of the last full hour before the tick, each organization as an item."""
    added: dict[str, int] = {}
    start = tick.instant.replace(minute=0, second=0, microsecond=0) - HOUR
    with tick.begin(isolation="read committed") as connection:
        month = start.astimezone(dt.UTC).date().replace(day=1)
        connection.execute(sa.select(sa.func.analytics.ensure_activity_month(month)))
        for item in tick.items(connection, of_the_demo(connection), _name):
            with item as organization:
                added[organization.external_id] = connection.execute(
                    _statement(),
                    {
                        "organization_id": organization.id,
                        "start": start,
                        "seed": int(start.timestamp()),
                        "zone": organization.timezone or tick.zone.key,
                    },
                ).rowcount
    tick.rows = sum(added.values())
    tick.metadata |= {"hour": str(start), "events": added}


def of_the_demo(connection: sa.Connection) -> Sequence[Any]:
    """The organizations whose setting `demo` is true."""
    own = organizations.c
    return connection.execute(
        sa.select(own.id, own.external_id, own.timezone)
        .where(own.settings["demo"].as_boolean())
        .order_by(own.id)
    ).all()


def _name(organization: Any) -> str:
    return f"organization {organization.external_id}"


@cache
def _statement() -> sa.TextClause:
    file = resources.files(__package__) / "sql" / "add_activity.sql"
    return sa.text(file.read_text(encoding="utf-8"))
