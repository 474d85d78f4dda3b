"""Secrets of connections: encrypted in the database, readable in the process that uses them.

The keys derive from `MARKETING_SECRET_KEY` and its former values, so a copy of the database alone
tells nothing. A secret that was read is hidden in everything that the process writes from then on.
"""

import base64
import json
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from marketing_pipelines.credentials import hide
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.secret_keys import signing_keys
from marketing_pipelines.settings import Settings

_PURPOSE = b"integrations.connections"


def encrypt(settings: Settings, secrets: Mapping[str, str]) -> str:
    """Returns secrets as the table holds them.

    Raises:
        ConfigurationError: production without `MARKETING_SECRET_KEY`.
    """
    text = json.dumps(dict(secrets), sort_keys=True)
    return _keys(settings).encrypt(text.encode()).decode()


def decrypt(settings: Settings, token: str | None, connection: str) -> dict[str, str]:
    """Returns the secrets of a row.

    Args:
        connection: Its name, for the sentence.

    Raises:
        ConfigurationError: no key of this installation fits.
    """
    if token is None:
        return {}
    secrets: dict[str, str] = json.loads(_opened(settings, token, connection))
    hide(secrets.values())
    return secrets


def encrypt_again(settings: Settings, token: str, connection: str) -> str | None:
    """Returns the secrets of a row encrypted with the present key; None: they are already.

    Raises:
        ConfigurationError: no key of this installation fits.
    """
    present, *_ = _fernets(settings)
    try:
        present.decrypt(token)
    except InvalidToken:
        return present.encrypt(_opened(settings, token, connection)).decode()
    return None


def _opened(settings: Settings, token: str, connection: str) -> bytes:
    try:
        return _keys(settings).decrypt(token)
    except InvalidToken as error:
        raise ConfigurationError(
            f"The secrets of {connection} were encrypted with another MARKETING_SECRET_KEY: add "
            "that one to MARKETING_OLD_SECRET_KEYS, or give the secrets again with `connection "
            "set`."
        ) from error


def _keys(settings: Settings) -> MultiFernet:
    return MultiFernet(_fernets(settings))


def _fernets(settings: Settings) -> list[Fernet]:
    """The present key first, then the former ones, newest first."""
    if settings.env == "production" and settings.secret_key is None:
        raise ConfigurationError(
            "MARKETING_SECRET_KEY is not set: in production the secrets of connections are "
            "encrypted with it."
        )
    return [Fernet(_derived(key)) for key in reversed(signing_keys(settings))]


def _derived(key: str) -> bytes:
    own = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.encode())
    return base64.urlsafe_b64encode(own)
