"""The transport of each channel, as the environment and the settings say.

In development nothing leaves the machine: a message is a file unless its server is on loopback. In
staging and production a channel without its setting has no transport, and its messages wait.
"""

import fnmatch
from functools import cache

from marketing_pipelines.domains.delivery.transports import smtp_server
from marketing_pipelines.domains.delivery.transports.http_services import (
    PushService,
    SmsService,
    is_loopback,
    read_push,
    read_sms,
)
from marketing_pipelines.domains.delivery.transports.outbox import Outbox
from marketing_pipelines.domains.delivery.transports.outcomes import Transport
from marketing_pipelines.domains.delivery.transports.push import PushTransport
from marketing_pipelines.domains.delivery.transports.sms import SmsTransport
from marketing_pipelines.domains.delivery.transports.smtp import SmtpTransport
from marketing_pipelines.settings import Settings

SETTINGS = {
    "email": "MARKETING_SMTP_URL",
    "sms": "MARKETING_SMS_URL",
    "push": "MARKETING_PUSH_URL",
}


def transport_of(settings: Settings, channel: str) -> Transport | None:
    """The transport of a channel; None: its setting is missing.

    Raises:
        ConfigurationError: its setting cannot be used.
    """
    outbox = Outbox(settings.outbox_folder)
    url = url_of(settings, channel)
    if url is None:
        return outbox if settings.env == "development" else None
    transport = server_of(settings, channel, url)
    if settings.env == "development" and not is_loopback(url):
        return outbox
    return transport


def url_of(settings: Settings, channel: str) -> str | None:
    """The setting of a channel; None: it is not set."""
    urls = {"email": settings.smtp_url, "sms": settings.sms_url, "push": settings.push_url}
    return urls.get(channel)


def server_of(
    settings: Settings, channel: str, url: str
) -> SmtpTransport | SmsTransport | PushTransport:
    """The transport to the server of a channel, in every environment.

    Raises:
        ConfigurationError: the URL cannot be used.
    """
    if channel == "email":
        return smtp_transport(smtp_server.read(url))
    if channel == "sms":
        return _sms(read_sms(url), settings.public_url)
    return _push(read_push(url))


def over_server(settings: Settings, server: smtp_server.SmtpServer) -> Transport:
    """The transport over the mail server of one domain.

    In development it is the outbox, unless the server is on loopback.
    """
    if settings.env == "development" and not is_loopback(f"smtp://{server.netloc}"):
        return Outbox(settings.outbox_folder)
    return smtp_transport(server)


def may_reach(settings: Settings, channel: str, address: str) -> bool:
    """Returns true if an address gets messages here: in staging, an allowed one does."""
    if settings.env != "staging":
        return True
    patterns = [one.strip().lower() for one in (settings.delivery_allow or "").split(",")]
    return any(fnmatch.fnmatchcase(address.lower(), pattern) for pattern in patterns if pattern)


@cache
def smtp_transport(server: smtp_server.SmtpServer) -> SmtpTransport:
    """One transport for all threads of the process, so that their connections last."""
    return SmtpTransport(server)


@cache
def _sms(service: SmsService, public_url: str | None) -> SmsTransport:
    return SmsTransport(service, public_url)


@cache
def _push(service: PushService) -> PushTransport:
    return PushTransport(service)
