"""Secrets of endpoints and the signatures of Standard Webhooks."""

import base64
import contextlib
import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from standardwebhooks import Webhook

from marketing_pipelines.domains.integrations import vault
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings

SECRET_BYTES = 32
OLD_SECRET_FOR = dt.timedelta(hours=24)
_NAME = "secret"


class UnreadableSecretError(ConfigurationError):
    """No key of this installation opens the secret of an endpoint, or it has none."""


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
        UnreadableSecretError: no key of this installation decrypts the present one, or there is
            none.
    """
    if not endpoint.secret:
        raise UnreadableSecretError(
            f"The endpoint has no secret yet: make one by `webhook rotate {endpoint.id}`, and give "
            "it to the receiver."
        )
    try:
        found = [_decrypted(settings, endpoint.secret)]
    except ConfigurationError as error:
        raise UnreadableSecretError(unreadable(endpoint.id)) from error
    if endpoint.old_secret is not None and endpoint.old_secret_until > now:
        # One that no key opens signs nothing; the present one does.
        with contextlib.suppress(ConfigurationError):
            found.append(_decrypted(settings, endpoint.old_secret))
    return found


def unreadable(endpoint_id: int) -> str:
    """The sentence about a secret that no key of this installation opens."""
    return (
        f"The secret of webhook endpoint {endpoint_id} was encrypted with another "
        "MARKETING_SECRET_KEY: add that key to MARKETING_OLD_SECRET_KEYS, or make a new secret by "
        f"`webhook rotate {endpoint_id}`."
    )


def _decrypted(settings: Settings, stored: str) -> str:
    return vault.decrypt(settings, stored, "a webhook endpoint")[_NAME]


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
