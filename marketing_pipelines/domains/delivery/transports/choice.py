"""The transport of each channel, as the environment and the settings say.

In development nothing leaves the machine: a message is a file unless its server is on loopback. In
staging and production a channel without its setting has no transport, and its messages wait.
"""

import fnmatch
from functools import cache

from marketing_pipelines.domains.delivery.transports import smtp_server
from marketing_pipelines.domains.delivery.transports.outbox import Outbox
from marketing_pipelines.domains.delivery.transports.outcomes import Transport
from marketing_pipelines.domains.delivery.transports.smtp import SmtpTransport
from marketing_pipelines.settings import Settings

SETTINGS = {"email": "MARKETING_SMTP_URL"}


def transport_of(settings: Settings, channel: str) -> Transport | None:
    """The transport of a channel; None: its setting is missing.

    Raises:
        ConfigurationError: its setting cannot be used.
    """
    outbox = Outbox(settings.outbox_folder)
    if channel not in SETTINGS:
        return outbox
    if settings.smtp_url is None:
        return outbox if settings.env == "development" else None
    server = smtp_server.read(settings.smtp_url)
    if settings.env == "development" and not server.is_loopback:
        return outbox
    return _smtp(server)


def may_reach(settings: Settings, channel: str, address: str) -> bool:
    """Returns true if an address gets messages here: in staging, an allowed one does."""
    if settings.env != "staging" or channel == "webhook":
        return True
    patterns = [one.strip().lower() for one in (settings.delivery_allow or "").split(",")]
    return any(fnmatch.fnmatchcase(address.lower(), pattern) for pattern in patterns if pattern)


@cache
def _smtp(server: smtp_server.SmtpServer) -> SmtpTransport:
    """One transport for all threads of the process, so that their connections last."""
    return SmtpTransport(server)
