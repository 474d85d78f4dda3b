"""Closing tasks: users and applications set them to done or dropped."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.crm.timeline.tables import tasks

Closed = Literal["done", "dropped"]


@dataclass(frozen=True)
class ClosedTask:
    """A task after the call.

    Attributes:
        state: `done` or `dropped`.
        done_at: When it was done; None for a dropped one.
    """

    id: int
    organization: str
    state: str
    done_at: dt.datetime | None


def close_task(
    connection: sa.Connection,
    task_id: int,
    state: Closed,
    now: dt.datetime,
    organization_id: int | None = None,
) -> ClosedTask | None:
    """Sets a task to a state; one that has it already keeps the instant at which it was done.

    Args:
        organization_id: The one organization whose tasks count; None: any.

    Returns:
        The task; None: there is no such one.
    """
    own = tasks.c.id == task_id
    if organization_id is not None:
        own = sa.and_(own, tasks.c.organization_id == organization_id)
    connection.execute(
        sa.update(tasks)
        .where(own, tasks.c.state != state)
        .values(state=state, done_at=now if state == "done" else None)
    )
    row = connection.execute(
        sa.select(tasks.c.id, organizations.c.external_id, tasks.c.state, tasks.c.done_at)
        .join(organizations, organizations.c.id == tasks.c.organization_id)
        .where(own)
    ).one_or_none()
    return None if row is None else ClosedTask(*row)
