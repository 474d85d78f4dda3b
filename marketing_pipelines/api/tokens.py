"""Bearer tokens: made once, stored as hashes, compared in constant time.

A token reads `mp_<number>_<secret>`. The secret has 256 random bits, so a plain SHA-256 of it
cannot be guessed backwards.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import sqlalchemy as sa

from marketing_pipelines.api import user_sessions
from marketing_pipelines.api.tables import tokens
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.failures import BadInputError

Scope = Literal["read", "write", "trigger", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
_SHAPE = re.compile(r"mp_(\d{1,18})_([\w-]{43})", re.ASCII)
# Compared with where there is no such token, so that the answer takes as long.
_NO_HASH = hashlib.sha256(b"").digest()


@dataclass(frozen=True)
class Token:
    """A token that is valid.

    Attributes:
        organization_id: The one organization that it is good for; None: the whole installation.
    """

    id: int
    name: str
    scopes: frozenset[str]
    organization_id: int | None = None

    def allows(self, scope: Scope) -> bool:
        """Returns true if it has the scope for the whole installation."""
        return self.organization_id is None and self.has(scope)

    def has(self, scope: Scope) -> bool:
        """Returns true if it has the scope; each is for itself, only admin stands for all."""
        return scope in self.scopes or "admin" in self.scopes


def create(
    connection: sa.Connection,
    name: str,
    scopes: Sequence[Scope],
    organization_id: int | None = None,
) -> str:
    """Makes a token; returns its text, which is stored nowhere.

    Args:
        organization_id: The one organization that it is good for; None: the whole installation.
    """
    secret = secrets.token_urlsafe(32)
    number = connection.execute(
        sa.insert(tokens)
        .values(
            name=name,
            scopes=sorted(set(scopes)),
            secret_hash=_hash(secret),
            organization_id=organization_id,
        )
        .returning(tokens.c.id)
    ).scalar_one()
    return f"mp_{number}_{secret}"


def verify(connection: sa.Connection, text: str) -> Token | None:
    """The token that the text is, if it is one and is not revoked."""
    shape = _SHAPE.fullmatch(text)
    number, secret = (int(shape[1]), shape[2]) if shape else (0, "")
    row = _valid(connection, number)
    matches = hmac.compare_digest(row.secret_hash if row else _NO_HASH, _hash(secret))
    return _token(row) if row and matches else None


def find(connection: sa.Connection, number: int) -> Token | None:
    """The token with this number, unless it is revoked."""
    row = _valid(connection, number)
    return _token(row) if row else None


def any_valid(connection: sa.Connection) -> bool:
    """Returns true if the API has a valid token at all."""
    valid = sa.select(sa.exists().where(tokens.c.revoked_at.is_(None)))
    return bool(connection.execute(valid).scalar_one())


def all_tokens(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Every token ever made, without its hash."""
    columns: list[sa.ColumnElement[Any]] = [c for c in tokens.c if c.name != "secret_hash"]
    columns.append(organizations.c.external_id.label("organization"))
    listed = sa.select(*columns).outerjoin_from(tokens, organizations).order_by(tokens.c.id)
    return connection.execute(listed).all()


def revoke(connection: sa.Connection, number: int) -> None:
    """Refuses the token from now on; sign-ins made with it end, too.

    Raises:
        BadInputError: there is no valid token with this number.
    """
    revoked = connection.execute(
        sa.update(tokens)
        .where(tokens.c.id == number, tokens.c.revoked_at.is_(None))
        .values(revoked_at=sa.func.now())
    )
    if not revoked.rowcount:
        raise BadInputError(
            f"There is no valid token {number}: `marketing-pipelines token list` lists them."
        )
    user_sessions.end_all(connection, number)


def _valid(connection: sa.Connection, number: int) -> sa.Row[Any] | None:
    return connection.execute(
        sa.select(tokens).where(tokens.c.id == number, tokens.c.revoked_at.is_(None))
    ).first()


def _token(row: sa.Row[Any]) -> Token:
    return Token(row.id, row.name, frozenset(row.scopes), row.organization_id)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
