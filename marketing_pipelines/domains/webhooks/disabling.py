"""The notification and the alert of an endpoint that its answers disabled, each once."""

from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from marketing_pipelines.domains.crm.notifications.writing import WANTED, write_notifications
from marketing_pipelines.domains.delivery.named_templates.catalog import UnknownNameError
from marketing_pipelines.domains.delivery.notifications import notify
from marketing_pipelines.domains.webhooks.standing import EndpointStanding
from marketing_pipelines.runs import incidents

JOB = "webhooks/deliveries"
INCIDENT = "webhook endpoint"


def notify_disabled(connection: sa.Connection, endpoint: Any, standing: EndpointStanding) -> None:
    """Notifies the admins of its organization, and alerts the operator.

    Args:
        endpoint: Its row.
        standing: The one that disables it.
    """
    assert standing.disabled_at is not None
    host = urlsplit(endpoint.url).hostname
    error = (
        f"The endpoint {endpoint.id} at {host} is disabled: {standing.error} When it is mended, "
        f"run `marketing-pipelines webhook enable {endpoint.id}`."
    )
    incidents.item_failed(
        connection,
        f"{INCIDENT} {endpoint.id}",
        "",
        error,
        max(standing.failures, 1),
        since=standing.failing_since or standing.disabled_at,
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
            f"The webhook endpoint {endpoint.id} at {host} is disabled: {standing.error} Events "
            "are not sent there until it is enabled again."
        ),
        "ref": sa.literal(f"webhook_endpoint:{endpoint.id}"),
        "subject": sa.literal(f"{INCIDENT} {endpoint.id}"),
        "period": sa.literal(standing.disabled_at.isoformat()),
    }
    wanted = sa.select(*(values[column.name].label(column.name) for column in WANTED))
    about: dict[str, Any] = {
        "organization_id": endpoint.organization_id,
        "job": JOB,
        "tick": standing.disabled_at,
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
