"""Executions of journeys that nothing moves any more are canceled, with a line in their log.

An execution is stale if it has been due for longer than the organization's setting. An execution
that waits is not due, and the time for which its journey was paused does not count. An execution
that became due while no pass ran is not stale either: a pass must have run and not moved it.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.journeys.enrolling import read_sql

BATCH = 10_000


def organizations(connection: sa.Connection) -> Sequence[Any]:
    """Returns the organizations with an active journey."""
    return connection.execute(read_sql("organizations_with_journeys")).all()


def name_of(organization: Any) -> str:
    """Returns the name of an organization in failures."""
    return f"organization {organization.external_id}"


def cancel_stale(
    connection: sa.Connection, organization_id: int, tick: dt.datetime, passed: dt.datetime | None
) -> int:
    """Cancels stale executions of an organization, except ones that other transactions hold.

    Args:
        connection: In a transaction of read committed.
        passed: Tick of the latest pass of the step engine; None: no pass has run.

    Returns:
        Number of canceled executions.

    Raises:
        BadInputError: the organization's settings cannot be used.
    """
    days = settings_of(connection, organization_id).journeys.stale_after_days
    values = {
        "organization_id": organization_id,
        "before": tick - dt.timedelta(days=days),
        "tick": tick,
        "passed": passed,
        "reason": f"Nothing moved it for more than {days} {'day' if days == 1 else 'days'}.",
        "most": BATCH,
    }
    canceled, last = 0, BATCH
    while last == BATCH:
        last = connection.execute(read_sql("cancel_stale"), values).scalar_one()
        canceled += last
    return canceled
