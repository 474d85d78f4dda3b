"""The mail to users that says that an export is ready."""

from functools import cache
from importlib import resources
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery import contents
from marketing_pipelines.domains.delivery.links import ExportedFile, Links
from marketing_pipelines.domains.delivery.named_templates.catalog import Catalog, Wanted
from marketing_pipelines.domains.delivery.notify import notify_workers
from marketing_pipelines.failures import PermanentError
from marketing_pipelines.settings import get_settings

TEMPLATE = "export_ready"


def mail_ready(connection: sa.Connection, request: Any, links: Links | None = None) -> str | None:
    """Queues a mail with the link to each user that the request names.

    Args:
        request: Row of a request that is ready.
        links: None: those of the installation.

    Returns:
        The reason why there is no mail; None: there are, or nobody asked for one.
    """
    if not request.notify:
        return None
    try:
        with connection.begin_nested():
            _queue(connection, request, links or Links.of(get_settings()))
    except PermanentError as error:
        # The file is there all the same.
        return f"No mail was sent: {error}"
    notify_workers(connection, ["email"])
    return None


def size_text(size: int) -> str:
    """Returns bytes as people read them."""
    number, units = float(size), iter(("bytes", "KB", "MB", "GB", "TB"))
    unit = next(units)
    while number >= 1000 and unit != "TB":
        number, unit = number / 1000, next(units)
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"


def _queue(connection: sa.Connection, request: Any, links: Links) -> None:
    organization_id = request.organization_id
    catalog = Catalog.read(connection, [organization_id], [TEMPLATE])
    outgoing = catalog.outgoing(
        organization_id, Wanted("email", template=TEMPLATE, kind="transactional")
    )
    stored = contents.store(connection, {0: (organization_id, outgoing.content)})
    connection.execute(
        _mail(),
        {
            "organization_id": organization_id,
            "users": request.notify,
            "priority": outgoing.priority,
            "domain_id": outgoing.domain_id,
            "content_id": stored[0],
            "url": links.export(ExportedFile(request.id, organization_id, request.expires_at)),
            "expires_at": f"{request.expires_at:%Y-%m-%d %H:%M} UTC",
            "size": size_text(request.size),
            "now": request.ended_at,
        },
    )


@cache
def _mail() -> sa.TextClause:
    path = resources.files(__package__) / "sql" / "mail.sql"
    return sa.text(path.read_text(encoding="utf-8"))
