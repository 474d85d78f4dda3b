"""The notification and the alert of an endpoint that its answers disabled, each once.

They have a task of their own: an error in them holds up no delivery, and is repeated by itself.
"""

from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from marketing_pipelines.domains.crm.notifications.writing import WANTED, write_notifications
from marketing_pipelines.domains.delivery.named_templates.catalog import UnknownNameError
from marketing_pipelines.domains.delivery.notifications import notify
from marketing_pipelines.domains.webhooks.tables import endpoints
from marketing_pipelines.queueing import tasks
from marketing_pipelines.queueing.enqueue import enqueue
from marketing_pipelines.runs import incidents

JOB = "webhooks/deliveries"
INCIDENT = "webhook endpoint"


def enqueue_notice(connection: sa.Connection, endpoint_id: int) -> None:
    """Enqueues the notification of an endpoint that its answers disabled."""
    # By its name: the module of tasks imports those that deliver.
    told = tasks.find("webhooks/notify_disabled")
    enqueue(connection, told, [{"endpoint_id": endpoint_id}], unique_key=["endpoint_id"])


def notify_disabled(connection: sa.Connection, endpoint_id: int) -> None:
    """Notifies the admins of its organization, and alerts the operator, if it still is disabled."""
    endpoint = connection.execute(
        sa.select(endpoints).where(endpoints.c.id == endpoint_id, endpoints.c.state == "disabled")
    ).one_or_none()
    if endpoint is None:
        return
    host = urlsplit(endpoint.url).hostname
    error = (
        f"The endpoint {endpoint.id} at {host} is disabled: {endpoint.error} When it is mended, "
        f"run `marketing-pipelines webhook enable {endpoint.id}`."
    )
    incidents.item_failed(
        connection,
        f"{INCIDENT} {endpoint.id}",
        "",
        error,
        max(endpoint.failures, 1),
        since=endpoint.failing_since or endpoint.disabled_at,
        kind="first",
    )
    if endpoint.organization_id is None:
        return
    values: dict[str, sa.ColumnElement[Any]] = {
        "user_id": sa.cast(None, sa.BigInteger),
        "contact_id": sa.cast(None, sa.BigInteger),
        "kind": sa.literal("webhook_disabled"),
        "title": sa.literal(f"Webhooks to {host} have stopped"),
        "text": sa.literal(
            f"The webhook endpoint {endpoint.id} at {host} is disabled: {endpoint.error} Events "
            "are not sent there until it is enabled again."
        ),
        "ref": sa.literal(f"webhook_endpoint:{endpoint.id}"),
        "subject": sa.literal(f"{INCIDENT} {endpoint.id}"),
        "period": sa.literal(endpoint.disabled_at.isoformat()),
    }
    wanted = sa.select(*(values[column.name].label(column.name) for column in WANTED))
    about: dict[str, Any] = {
        "organization_id": endpoint.organization_id,
        "job": JOB,
        "tick": endpoint.disabled_at,
    }
    try:
        with connection.begin_nested():
            notify(connection, wanted, **about)
    except UnknownNameError:
        # Its template of mails cannot be used; the attempts are settled all the same.
        write_notifications(connection, wanted, **about)


def recovered(connection: sa.Connection, endpoint_id: int) -> None:
    """Ends the incident of an endpoint that is enabled again."""
    incidents.recovered(connection, f"{INCIDENT} {endpoint_id}")
