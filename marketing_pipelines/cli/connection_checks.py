"""One call to the system of a connection that changes nothing, for `connection test`."""

from collections.abc import Callable

from marketing_pipelines.domains.delivery import own_servers
from marketing_pipelines.domains.forms import reading
from marketing_pipelines.domains.inbox import synchronizing
from marketing_pipelines.domains.integrations import (
    contact_enrichment,
    grants,
    leadsquared,
    web_urls,
)
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.providers import (
    CONTENT_SERVICE,
    ENRICHMENT,
    GOOGLE,
    IMAP,
    LEADSQUARED,
    OAUTH,
    SMTP,
)
from marketing_pipelines.settings import Settings

CHECKS: dict[str, Callable[[Settings, Connection], str]] = {
    ENRICHMENT.name: contact_enrichment.check,
    CONTENT_SERVICE.name: web_urls.check,
    LEADSQUARED.name: leadsquared.check,
    SMTP.name: own_servers.check,
    GOOGLE.name: reading.check,
    OAUTH.name: grants.check,
    IMAP.name: synchronizing.check,
}


def check(settings: Settings, connection: Connection) -> str:
    """Calls the system once; returns its answer in a few words.

    Raises:
        MarketingPipelinesError: it does not answer as it should.
    """
    return CHECKS[connection.provider](settings, connection)
