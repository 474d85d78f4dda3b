"""Sign-ins as the server remembers them: written by signing in, gone by signing out."""

import datetime as dt

import sqlalchemy as sa

from marketing_pipelines.api.tables import user_sessions

VALID_FOR = dt.timedelta(hours=12)
SEEN_EVERY = dt.timedelta(minutes=1)


def begin(connection: sa.Connection, token_id: int, now: dt.datetime) -> int:
    """Writes a sign-in and removes expired ones; returns its number."""
    connection.execute(sa.delete(user_sessions).where(user_sessions.c.expires_at <= now))
    number: int = connection.execute(
        sa.insert(user_sessions)
        .values(token_id=token_id, created_at=now, last_seen_at=now, expires_at=now + VALID_FOR)
        .returning(user_sessions.c.id)
    ).scalar_one()
    return number


def is_open(connection: sa.Connection, number: int, token_id: int, now: dt.datetime) -> bool:
    """Returns true while the sign-in lasts; notes its use at most once a minute."""
    seen = connection.execute(
        sa.select(user_sessions.c.last_seen_at).where(
            user_sessions.c.id == number,
            user_sessions.c.token_id == token_id,
            user_sessions.c.expires_at > now,
        )
    ).scalar_one_or_none()
    if seen is None:
        return False
    if now - seen >= SEEN_EVERY:
        connection.execute(
            sa.update(user_sessions)
            .where(user_sessions.c.id == number, user_sessions.c.last_seen_at == seen)
            .values(last_seen_at=now)
        )
    return True


def end(connection: sa.Connection, number: int) -> None:
    """Ends a sign-in."""
    connection.execute(sa.delete(user_sessions).where(user_sessions.c.id == number))


def end_all(connection: sa.Connection, token_id: int) -> None:
    """Ends every sign-in of a token."""
    connection.execute(sa.delete(user_sessions).where(user_sessions.c.token_id == token_id))
