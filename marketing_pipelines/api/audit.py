"""The audit log: an entry before anything is done, completed with the answer's status."""

import datetime as dt

import sqlalchemy as sa

from marketing_pipelines.api.tables import audit_log

MAX_PATH_LENGTH = 300


def note(
    connection: sa.Connection,
    *,
    at: dt.datetime,
    actor: str,
    token_id: int | None,
    organization_id: int | None,
    address: str | None,
    method: str,
    path: str,
) -> int:
    """Writes the entry of a call; returns its number."""
    number: int = connection.execute(
        sa.insert(audit_log)
        .values(
            asked_at=at,
            actor=actor,
            token_id=token_id,
            organization_id=organization_id,
            address=address,
            method=method,
            path=_storable(path),
        )
        .returning(audit_log.c.id)
    ).scalar_one()
    return number


def note_another(connection: sa.Connection, number: int) -> None:
    """Counts one more call in an entry that stands for many."""
    connection.execute(
        sa.update(audit_log).where(audit_log.c.id == number).values(calls=audit_log.c.calls + 1)
    )


def note_signing_in(connection: sa.Connection, shared: int, *, at: dt.datetime, path: str) -> int:
    """Writes an entry of its own for a sign-in that an entry of many calls counted."""
    log = audit_log.c
    connection.execute(sa.update(audit_log).where(log.id == shared).values(calls=log.calls - 1))
    address = sa.select(log.address).where(log.id == shared)
    number: int = connection.execute(
        sa.insert(audit_log)
        .values(
            asked_at=at,
            actor="unknown",
            address=address.scalar_subquery(),
            method="POST",
            path=path,
            status=303,
        )
        .returning(log.id)
    ).scalar_one()
    return number


def identified(connection: sa.Connection, number: int, *, actor: str, token_id: int) -> None:
    """Completes the entry with the caller, once it is known."""
    connection.execute(
        sa.update(audit_log).where(audit_log.c.id == number).values(actor=actor, token_id=token_id)
    )


def concerns(connection: sa.Connection, number: int, organization_id: int) -> None:
    """Completes the entry with the organization of the call, once it is known."""
    connection.execute(
        sa.update(audit_log).where(audit_log.c.id == number).values(organization_id=organization_id)
    )


def answered(connection: sa.Connection, number: int, status: int) -> None:
    """Completes the entry with the status of the answer."""
    connection.execute(sa.update(audit_log).where(audit_log.c.id == number).values(status=status))


def _storable(path: str) -> str:
    """Returns the requested path as text that PostgreSQL can store."""
    text = path.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text[:MAX_PATH_LENGTH]
