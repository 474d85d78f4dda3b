"""The secret keys that the encrypted values of a backup need, and their presence at a restore."""

from collections.abc import Iterator

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from marketing_pipelines.domains.integrations import vault
from marketing_pipelines.domains.integrations.tables import connections
from marketing_pipelines.domains.upkeep.erasing import records
from marketing_pipelines.domains.upkeep.erasing.tables import erasures
from marketing_pipelines.domains.webhooks.tables import endpoints
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.secret_keys import fernets
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import ledger
from marketing_pipelines.stores.backups import Backup
from marketing_pipelines.stores.tables import installation

PURPOSE = "upkeep.backups"
# The columns with encrypted values, each with the purpose of its keys.
ENCRYPTED = (
    (vault.PURPOSE, connections.c.secrets),
    (vault.PURPOSE, endpoints.c.secret),
    (vault.PURPOSE, endpoints.c.old_secret),
    (ledger.PURPOSE, installation.c.erasure_key),
    (records.PURPOSE, erasures.c.names),
)


def probes_of(connection: sa.Connection, settings: Settings) -> list[str]:
    """A text encrypted with each secret key that opens an encrypted value, newest key first."""
    needed = {
        number
        for purpose, column in ENCRYPTED
        for token in _tokens(connection, column)
        for number, key in enumerate(fernets(settings, purpose))
        if _opens(key, token)
    }
    if not needed:
        return []
    keys = fernets(settings, PURPOSE)
    return [keys[number].encrypt(b"").decode() for number in sorted(needed)]


def require_keys(backup: Backup, settings: Settings, *, lost: bool) -> None:
    """Refuses settings whose secret keys do not open the secrets of a backup.

    Args:
        lost: True if a key is lost and its secrets are given up.

    Raises:
        ConfigurationError: they do not.
    """
    if lost or not backup.secret_keys:
        return
    keys = MultiFernet(fernets(settings, PURPOSE))
    if not all(_opens(keys, probe) for probe in backup.secret_keys):
        raise ConfigurationError(
            f"The secrets in backup {backup.id} were encrypted with another MARKETING_SECRET_KEY: "
            "set it to the key of the installation that took the backup, and former ones in "
            "MARKETING_OLD_SECRET_KEYS, or give --lost-key to restore without these secrets."
        )


def _tokens(connection: sa.Connection, column: sa.Column[str | None]) -> Iterator[str]:
    statement = sa.select(column).where(column.is_not(None))
    with connection.execute(statement, execution_options={"yield_per": 1_000}) as rows:
        yield from (str(token) for token in rows.scalars())


def _opens(key: Fernet | MultiFernet, token: str) -> bool:
    try:
        key.decrypt(token)
    except InvalidToken:
        return False
    return True
