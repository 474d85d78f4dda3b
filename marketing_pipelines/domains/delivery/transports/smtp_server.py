"""SMTP servers, of `MARKETING_SMTP_URL` and of single domains: address, security and provider."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from marketing_pipelines.failures import ConfigurationError

PROVIDERS = ("sendgrid", "mailgun", "postmark", "ses", "mandrill")
_HOSTS = {
    "sendgrid.net": "sendgrid",
    "mailgun.org": "mailgun",
    "postmarkapp.com": "postmark",
    "amazonaws.com": "ses",
    "mandrillapp.com": "mandrill",
}
_EXAMPLE = "smtp://user:password@host:587"
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True)
class SmtpServer:
    """A server that takes mail.

    Attributes:
        security: `starttls` demands STARTTLS, `tls` begins with TLS, `off` has neither.
        provider: The service behind it, which decides the header that carries our message id.
        owner: Domain and organization that it sends for alone; None: it sends for all others.
    """

    host: str
    port: int
    security: Literal["starttls", "tls", "off"]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    provider: str | None = None
    owner: str | None = None

    @property
    def netloc(self) -> str:
        """Host and port, as URLs have them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def line(self) -> str:
        """The name under which faults are counted; it holds no credential."""
        own = f" for {self.owner}" if self.owner else ""
        return f"smtp://{self.netloc}{own}"


def read(url: str) -> SmtpServer:
    """The server of a URL such as `smtp://user:password@host:587?provider=ses`.

    Raises:
        ConfigurationError: it is no such URL; the sentence does not repeat it.
    """
    try:
        parts = urlsplit(url)
        port, query = parts.port, dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise _unusable(f"it is no URL such as {_EXAMPLE}") from error
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/"):
        raise _unusable(f"it does not look like {_EXAMPLE} or smtps://user:password@host")
    if (parts.username is None) != (parts.password is None):
        raise _unusable(f"a user needs a password, as in {_EXAMPLE}")
    if not unquote(parts.username or "").isascii() or not unquote(parts.password or "").isascii():
        raise _unusable("user and password must be ASCII")
    if unknown := sorted(set(query) - {"tls", "provider"}):
        raise _unusable(f"'{unknown[0]}' is none of its parameters tls and provider")
    if query.get("tls", "off") != "off" or ("tls" in query and parts.scheme == "smtps"):
        raise _unusable("tls=off is the one value of tls, and only for smtp://")
    provider = query.get("provider") or provider_of_host(parts.hostname)
    if provider not in (None, "none", *PROVIDERS):
        raise _unusable(f"provider is one of {', '.join(PROVIDERS)}, none")
    return SmtpServer(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        security="tls" if parts.scheme == "smtps" else "off" if "tls" in query else "starttls",
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        provider=None if provider == "none" else provider,
    )


def provider_of_host(host: str) -> str | None:
    """The service that a server's name belongs to; None: none that is known."""
    return next((name for end, name in _HOSTS.items() if host.endswith(f".{end}")), None)


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError(f"MARKETING_SMTP_URL cannot be used: {why}.")
