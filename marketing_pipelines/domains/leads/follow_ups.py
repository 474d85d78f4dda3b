"""Dates of follow-ups that have come: a task and a notification for each value of the date."""

import datetime as dt
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.notifications import WANTED, notify
from marketing_pipelines.domains.leads.statements import read_sql

JOB = "leads/follow_ups"


def follow_up(connection: sa.Connection, organization: Any, tick: dt.datetime) -> int:
    """Writes the tasks and notifications of the dates up to a tick, each once.

    Args:
        connection: In a transaction of read committed.
        organization: A row with `id` and `external_id`.

    Returns:
        Number of new tasks.
    """
    values = {"organization_id": organization.id, "job": JOB, "tick": tick}
    number = connection.execute(read_sql("write_follow_up_tasks"), values).rowcount
    if number:
        wanted = read_sql("follow_up_notifications").bindparams(**values).columns(*WANTED)
        notify(connection, wanted, organization_id=organization.id, job=JOB, tick=tick)
    return number
