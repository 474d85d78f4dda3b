"""The queue of actions: those without route, and the task that reminds a user."""

from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.actions.taking import route_again
from marketing_pipelines.domains.crm.names import find_user
from marketing_pipelines.domains.delivery.notifications import notify
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing.queues import Queue, declare
from marketing_pipelines.queueing.tasks import TaskContext, task

ACTIONS = declare(Queue("actions"))


@task(queue=ACTIONS)
def route(context: TaskContext, action_id: int, due_at: str) -> None:
    """Leads an action that no route took to its routes; without one it is a dead letter."""
    with context.finishing() as connection:
        route_again(connection, action_id, due_at, context.clock(), route)


@task(queue=ACTIONS, callable=True)
def notify_user(
    context: TaskContext,
    *,
    organization_id: int,
    action_key: str,
    user: str,
    title: str,
    text: str = "",
) -> None:
    """Notifies a user, by external id; on the page and, if the user wants it, by mail."""
    with context.finishing() as connection:
        number = find_user(connection, organization_id, user)
        if number is None:
            raise BadInputError(
                f"payload.user: there is no user '{user}': load the file of users by `load users`, "
                "then redrive this dead letter."
            )
        columns: list[sa.ColumnElement[Any]] = [
            sa.literal(number, sa.BigInteger).label("user_id"),
            sa.cast(None, sa.BigInteger).label("contact_id"),
            sa.literal("reminder").label("kind"),
            sa.literal(title).label("title"),
            sa.literal(text).label("text"),
            sa.cast(None, sa.Text).label("ref"),
            sa.literal(action_key).label("subject"),
            sa.literal("").label("period"),
        ]
        notify(
            connection,
            sa.select(*columns),
            organization_id=organization_id,
            job="actions/notify_user",
            tick=context.clock(),
        )
