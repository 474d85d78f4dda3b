"""The ledger of erased persons: its key, and the question that every way in asks.

`ops.erasures` holds keyed hashes only. The key is random, stored encrypted in `ops.installation`,
and reaches PostgreSQL as the two padded blocks of HMAC, which the functions `ops.erasure_hash` and
`ops.is_erased` take: a whole batch is asked about in one statement, and nothing while nobody was
erased.
"""

import base64
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import sqlalchemy as sa
from cryptography.fernet import InvalidToken, MultiFernet
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.secret_keys import fernets
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.tables import installation

REASON = "erased"
CHANNELS = ("email", "sms", "push")
PURPOSE = "ops.erasures"
_KEY_BYTES, _BLOCK_BYTES = 32, 64
NO_LEDGER: Mapping[str, bytes | None] = {"inner_block": None, "outer_block": None}


@dataclass(frozen=True)
class Ledger:
    """The key of the ledger, as the two blocks with which HMAC-SHA-256 begins."""

    inner: bytes = field(repr=False)
    outer: bytes = field(repr=False)

    @property
    def blocks(self) -> Mapping[str, bytes | None]:
        """The parameters `inner_block` and `outer_block` of a statement that asks it."""
        return {"inner_block": self.inner, "outer_block": self.outer}


def blocks_of(ledger: Ledger | None) -> Mapping[str, bytes | None]:
    """The parameters `inner_block` and `outer_block`; both None without a ledger."""
    return NO_LEDGER if ledger is None else ledger.blocks


def open_ledger(connection: sa.Connection, settings: Settings) -> Ledger | None:
    """The ledger; None: nobody was erased, and there is nothing to ask.

    Raises:
        ConfigurationError: the key of the ledger is missing, or no secret key opens it.
    """
    row = connection.execute(_KEY_OF_ERASURES).one_or_none()
    return None if row is None else _opened(settings, row.erasure_key)


def begin_ledger(connection: sa.Connection, settings: Settings) -> Ledger:
    """The ledger, with a key that is made at the first erasure.

    Raises:
        ConfigurationError: no secret key opens its key.
    """
    token = connection.execute(sa.select(installation.c.erasure_key).with_for_update()).scalar_one()
    if token is None:
        key = base64.b64encode(secrets.token_bytes(_KEY_BYTES))
        token = fernets(settings, PURPOSE)[0].encrypt(key).decode()
        connection.execute(sa.update(installation).values(erasure_key=token))
    return _opened(settings, token)


def adopt_key(connection: sa.Connection, token: str) -> None:
    """Stores the key of a ledger in a database from before it."""
    connection.execute(
        sa.update(installation)
        .where(installation.c.erasure_key.is_(None))
        .values(erasure_key=token)
    )


def ledger_of(settings: Settings, token: str) -> Ledger:
    """The ledger of an encrypted key.

    Raises:
        ConfigurationError: no secret key opens it.
    """
    return _opened(settings, token)


def encrypt_again(connection: sa.Connection, settings: Settings) -> bool:
    """Encrypts the key of the ledger with the present secret key.

    Returns:
        True if it had another one.

    Raises:
        ConfigurationError: no secret key opens it.
    """
    token = connection.execute(sa.select(installation.c.erasure_key).with_for_update()).scalar_one()
    if token is None:
        return False
    again = encrypted_again(settings, token)
    if again is not None:
        connection.execute(sa.update(installation).values(erasure_key=again))
    return again is not None


def encrypted_again(settings: Settings, token: str) -> str | None:
    """The key of a ledger under the present secret key; None: it is that already.

    Raises:
        ConfigurationError: no secret key opens it.
    """
    present, *_ = fernets(settings, PURPOSE)
    try:
        present.decrypt(token)
    except InvalidToken:
        return present.encrypt(_key(settings, token)).decode()
    return None


def hashes_of(
    connection: sa.Connection,
    ledger: Ledger,
    organization_id: int,
    names: Mapping[str, Iterable[str]],
) -> list[str]:
    """The hashes of names, by kind: `external_id`, `email`, `sms` or `push`."""
    given = [
        {"kind": kind, "given": name} for kind, some in names.items() for name in sorted(set(some))
    ]
    return list(
        connection.execute(
            _HASHES, {**ledger.blocks, "organization": organization_id, "names": given}
        ).scalars()
    )


def lift(
    connection: sa.Connection,
    ledger: Ledger,
    organization_id: int,
    names: Mapping[str, Iterable[str]],
) -> None:
    """Allows the names of an erased person again, which began a new relationship itself."""
    hashes = hashes_of(connection, ledger, organization_id, names)
    bound = {"organization": organization_id, "hashes": hashes}
    if connection.execute(_LIFT, bound).rowcount:
        lift_suppressions(connection, organization_id, hashes)


def lift_suppressions(
    connection: sa.Connection, organization_id: int, hashes: Sequence[str]
) -> None:
    """Removes the suppressions of erased addresses that a new relationship allows again."""
    connection.execute(
        _LIFT_SUPPRESSIONS, {"organization": organization_id, "hashes": list(hashes)}
    )


def _opened(settings: Settings, token: str | None) -> Ledger:
    if token is None:
        raise ConfigurationError(
            "ops.installation has no erasure_key although ops.erasures has rows: restore both from "
            "one backup."
        )
    return _ledger(base64.b64decode(_key(settings, token)))


@lru_cache(maxsize=8)
def _key(settings: Settings, token: str) -> bytes:
    try:
        return MultiFernet(fernets(settings, PURPOSE)).decrypt(token)
    except InvalidToken as error:
        raise ConfigurationError(
            "The key of the ledger of erasures (ops.installation.erasure_key) was encrypted with "
            "another MARKETING_SECRET_KEY; add that key to MARKETING_OLD_SECRET_KEYS."
        ) from error


def _ledger(key: bytes) -> Ledger:
    padded = key.ljust(_BLOCK_BYTES, b"\0")
    return Ledger(bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded))


_KEY_OF_ERASURES = sa.text(
    "select erasure_key from ops.installation where exists (select from ops.erasures)"
)
_HASHES = sa.text(
    "select ops.erasure_hash(:inner_block, :outer_block, :organization, kind, given) as hash"
    " from jsonb_to_recordset(:names) as named (kind text, given text)"
    " where ops.erasure_hash(:inner_block, :outer_block, :organization, kind, given) is not null"
    " order by hash"
).bindparams(sa.bindparam("names", type_=pg.JSONB))
_LIFT = sa.text(
    "update ops.erasures set lifted = array("
    " select unnest(lifted) union select unnest(cast(:hashes as text[]))"
    " intersect select unnest(hashes) order by 1)"
    " where organization_id = :organization and hashes && cast(:hashes as text[])"
    " and exists (select unnest(cast(:hashes as text[])) intersect select unnest(hashes)"
    " except select unnest(lifted))"
)
_LIFT_SUPPRESSIONS = sa.text(
    "delete from delivery.suppressions"
    " where organization_id = :organization and address_hash = any(:hashes)"
)
