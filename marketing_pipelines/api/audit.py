"""The audit log: an entry before anything is done, completed with the answer's status."""

import datetime as dt

import sqlalchemy as sa

from marketing_pipelines.api.tables import audit_log

LONGEST_PATH = 300


def note(
    connection: sa.Connection,
    *,
    at: dt.datetime,
    actor: str,
    token_id: int | None,
    address: str | None,
    method: str,
    path: str,
) -> int:
    """Writes who asks for what; returns the entry's number."""
    number: int = connection.execute(
        sa.insert(audit_log)
        .values(
            asked_at=at,
            actor=actor,
            token_id=token_id,
            address=address,
            method=method,
            path=_storable(path),
        )
        .returning(audit_log.c.id)
    ).scalar_one()
    return number


def identified(connection: sa.Connection, number: int, *, actor: str, token_id: int) -> None:
    """Completes the entry with who it turned out to be."""
    connection.execute(
        sa.update(audit_log).where(audit_log.c.id == number).values(actor=actor, token_id=token_id)
    )


def answered(connection: sa.Connection, number: int, status: int) -> None:
    """Completes the entry with the status of the answer."""
    connection.execute(sa.update(audit_log).where(audit_log.c.id == number).values(status=status))


def _storable(path: str) -> str:
    """Whatever was asked for, as PostgreSQL can hold it."""
    text = path.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text[:LONGEST_PATH]
