"""Secrets of endpoints and the signatures of Standard Webhooks."""

import base64
import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from standardwebhooks import Webhook

from marketing_pipelines.domains.integrations import vault
from marketing_pipelines.settings import Settings

SECRET_BYTES = 32
OLD_SECRET_FOR = dt.timedelta(hours=24)
_NAME = "secret"


def new_secret() -> str:
    """A new secret, as receivers keep it: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def encrypted(settings: Settings, secret: str) -> str:
    """The secret as the table has it.

    Raises:
        ConfigurationError: production without `MARKETING_SECRET_KEY`.
    """
    return vault.encrypt(settings, {_NAME: secret})


def secrets_of(settings: Settings, endpoint: Any, now: dt.datetime) -> list[str]:
    """The secrets that sign at an instant: the present one, and for a day the one before it.

    Args:
        endpoint: Its row.

    Raises:
        ConfigurationError: no key of this installation decrypts them.
    """
    stored = [endpoint.secret]
    if endpoint.old_secret is not None and endpoint.old_secret_until > now:
        stored.append(endpoint.old_secret)
    name = f"webhook endpoint {endpoint.id}"
    return [vault.decrypt(settings, one, name)[_NAME] for one in stored]


def signed_headers(
    keys: Sequence[str], event_id: str, body: str, now: dt.datetime
) -> Mapping[str, str]:
    """The headers of one attempt.

    Args:
        keys: Secrets, each of which signs.
        now: The attempt's instant.
    """
    at = now.astimezone(dt.UTC).replace(microsecond=0)
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(event_id, at, body) for key in keys),
    }
