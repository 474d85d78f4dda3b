"""Mail servers of single sending domains: connections `smtp`, each a line of its own.

Mails of such a domain go over its server and no other; without it they wait.
"""

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.transports.choice import over_server, smtp_transport
from marketing_pipelines.domains.delivery.transports.outcomes import Transport
from marketing_pipelines.domains.delivery.transports.smtp_server import (
    SmtpServer,
    provider_of_host,
)
from marketing_pipelines.domains.integrations import connections
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.providers import SMTP, SmtpFields
from marketing_pipelines.settings import Settings


def transport_over(
    connection: sa.Connection, settings: Settings, server_id: int
) -> Transport | None:
    """The transport over the server of a connection; None: the connection is gone.

    Raises:
        PermanentError: its secrets cannot be read.
    """
    found = [one for one in connections.all_of(connection, SMTP) if one.id == server_id]
    return over_server(settings, server_of(settings, found[0])) if found else None


def transport_of_domain(
    connection: sa.Connection, settings: Settings, organization_id: int, domain: str
) -> Transport | None:
    """The transport of a sending domain with a server of its own; None: it has none.

    Raises:
        PermanentError: its secrets cannot be read.
    """
    for found in connections.all_of(connection, SMTP, organization_id):
        if found.external_id == domain:
            return over_server(settings, server_of(settings, found))
    return None


def check(settings: Settings, connection: Connection) -> str:
    """Connects to the server of a connection and logs in; sends nothing.

    Raises:
        MarketingPipelinesError: one of them failed.
    """
    transport = smtp_transport(server_of(settings, connection))
    try:
        return f"{transport.line} answers ({transport.check()})"
    finally:
        transport.close()


def server_of(settings: Settings, connection: Connection) -> SmtpServer:
    """The server of a connection, with its password.

    Raises:
        PermanentError: its secrets cannot be read.
    """
    fields: SmtpFields = connection.fields(settings)
    provider = fields.provider or provider_of_host(fields.host)
    return SmtpServer(
        host=fields.host,
        port=fields.port,
        security=fields.security,
        user=fields.user,
        password=fields.password.get_secret_value() if fields.password else None,
        provider=None if provider == "none" else provider,
        owner=f"{fields.domain} of {connection.organization}",
    )
