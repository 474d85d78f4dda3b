"""The services of `MARKETING_SMS_URL` and `MARKETING_PUSH_URL`: their addresses and logins."""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from marketing_pipelines.failures import ConfigurationError

_SMS_EXAMPLE = "twilio+https://SID:TOKEN@api.twilio.com?from=%2B4930123456"
_PUSH_EXAMPLE = "fcm+https://fcm.googleapis.com/v1/projects/P?credentials=FILE"


@dataclass(frozen=True)
class SmsService:
    """A Twilio-shaped service.

    Attributes:
        sender: Phone number, or messaging service `MG…`.
    """

    base: str
    account: str
    token: str = field(repr=False)
    sender: str


@dataclass(frozen=True)
class PushService:
    """An FCM-shaped service.

    Attributes:
        project: Path of the project, `/v1/projects/P`.
        credentials: File of the service account.
    """

    base: str
    project: str
    credentials: Path


def read_sms(url: str) -> SmsService:
    """The service of `MARKETING_SMS_URL`.

    Raises:
        ConfigurationError: it is no such URL; the sentence does not repeat it.
    """
    name = "MARKETING_SMS_URL"
    parts, query = _split(name, url, "twilio", _SMS_EXAMPLE)
    if not parts.username or not parts.password or parts.path.strip("/"):
        raise _unusable(name, f"it does not look like {_SMS_EXAMPLE}")
    sender = query.get("from", "")
    if set(query) != {"from"} or not re.fullmatch(r"\+\d{7,15}|MG\w+", sender):
        raise _unusable(name, "from is a phone number, as from=%2B4930123456, or MG… of a service")
    return SmsService(_base(parts), unquote(parts.username), unquote(parts.password), sender=sender)


def read_push(url: str) -> PushService:
    """The service of `MARKETING_PUSH_URL`.

    Raises:
        ConfigurationError: it is no such URL.
    """
    name = "MARKETING_PUSH_URL"
    parts, query = _split(name, url, "fcm", _PUSH_EXAMPLE)
    project = parts.path.rstrip("/")
    if not re.fullmatch(r"/v1/projects/[\w.:-]+", project) or set(query) != {"credentials"}:
        raise _unusable(name, f"it does not look like {_PUSH_EXAMPLE}")
    return PushService(_base(parts), project, Path(query["credentials"]).expanduser())


def is_loopback(url: str) -> bool:
    """Returns true if messages stay on this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(name: str, url: str, kind: str, example: str) -> tuple[SplitResult, dict[str, str]]:
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, strict_parsing=True))
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError as error:
        raise _unusable(name, f"it is no URL such as {example}") from error
    if parts.scheme not in (f"{kind}+https", f"{kind}+http") or not parts.hostname:
        raise _unusable(name, f"it does not look like {example}")
    if not port_is_valid:
        raise _unusable(name, "its port is not valid")
    if parts.scheme == f"{kind}+http" and not is_loopback(url):
        raise _unusable(name, f"{kind}+http is for tests on loopback only: write {kind}+https")
    return parts, query


def _base(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme.partition('+')[2]}://{host}"


def _unusable(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"{name} cannot be used: {why}.")
