"""Lost leads that show interest again come back, each once for each time that it was lost.

A recycled lead has the status `recycled` since the tick. It comes back again only after its status
has become one of `recycling.statuses` anew, and as many days have passed once more.
"""

import datetime as dt
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.tables import sequences
from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.leads.statements import read_sql
from marketing_pipelines.failures import BadInputError

JOB = "leads/recycled_leads"


def recycle(connection: sa.Connection, organization: Any, tick: dt.datetime) -> tuple[int, bool]:
    """Recycles the leads of an organization, as of a tick.

    Args:
        connection: In a transaction of read committed.
        organization: A row with `id` and `external_id`.

    Returns:
        Number of recycled leads, and whether they enter a sequence.

    Raises:
        BadInputError: the settings cannot be used, or name an unknown sequence.
    """
    settings = settings_of(connection, organization.id).recycling
    sequence_id = _sequence(connection, organization.id, settings.sequence)
    number: int = connection.execute(
        read_sql("recycle_leads").bindparams(sa.bindparam("sequence_id", type_=sa.BigInteger)),
        {
            "organization_id": organization.id,
            "statuses": settings.statuses,
            "lost_before": tick - dt.timedelta(days=settings.after_days),
            "signals": settings.signals,
            "signal_since": tick - dt.timedelta(days=settings.signal_days),
            "sequence_id": sequence_id,
            "job": JOB,
            "period": tick.astimezone(dt.UTC).isoformat(),
            "tick": tick,
        },
    ).scalar_one()
    return number, sequence_id is not None


def _sequence(connection: sa.Connection, organization_id: int, name: str | None) -> int | None:
    if name is None:
        return None
    found: int | None = connection.execute(
        sa.select(sequences.c.id).where(
            sequences.c.organization_id == organization_id, sequences.c.external_id == name
        )
    ).scalar()
    if found is None:
        raise BadInputError(
            f"recycling.sequence names '{name}', which is no sequence of the organization: load "
            "it, or set the setting again."
        )
    return found
