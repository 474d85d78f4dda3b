"""Secrets of connections: encrypted in the database, readable in the process that uses them.

The keys derive from `MARKETING_SECRET_KEY` and its former values, so a copy of the database alone
tells nothing. A secret that was read is hidden in everything that the process writes from then on.
"""

import json
from collections.abc import Mapping

from cryptography.fernet import InvalidToken, MultiFernet

from marketing_pipelines.credentials import hide
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.secret_keys import fernets
from marketing_pipelines.settings import Settings

PURPOSE = "integrations.connections"


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
    present, *_ = fernets(settings, PURPOSE)
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
            f"The secrets of {connection} were encrypted with another MARKETING_SECRET_KEY; add "
            "that key to MARKETING_OLD_SECRET_KEYS, or give the secrets again with `connection "
            "set`."
        ) from error


def _keys(settings: Settings) -> MultiFernet:
    return MultiFernet(fernets(settings, PURPOSE))
