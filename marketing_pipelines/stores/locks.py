"""Advisory locks: one per job or per partition, freed by the server when its holder dies."""

import zlib
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

WHOLE_JOB = -1
_SESSIONS = "ops.job_sessions"
_EXTRA_CONNECTIONS = "ops.job_sessions, other connections"


def lock_class(name: str) -> int:
    """The 32-bit number under which the server knows a job's locks."""
    return zlib.crc32(name.encode()) - 2**31


def try_lock(connection: sa.Connection, job: str, ordinal: int = WHOLE_JOB) -> bool:
    """Takes the lock if it is free; it stays with the connection, not the transaction."""
    return bool(
        connection.execute(
            sa.select(sa.func.pg_try_advisory_lock(lock_class(job), ordinal))
        ).scalar_one()
    )


def try_share(connection: sa.Connection, job: str) -> bool:
    """Takes the whole job's lock in shared mode, unless a run holds it exclusively."""
    return bool(
        connection.execute(
            sa.select(sa.func.pg_try_advisory_lock_shared(lock_class(job), WHOLE_JOB))
        ).scalar_one()
    )


def try_lock_in_transaction(connection: sa.Connection, name: str) -> bool:
    """Takes the lock of this name if it is free; it is free again at the transaction's end."""
    function = sa.func.pg_try_advisory_xact_lock
    return bool(connection.execute(sa.select(function(lock_class(name), WHOLE_JOB))).scalar_one())


def lock_all(connection: sa.Connection, job: str, ordinals: Sequence[int]) -> None:
    """Takes the locks in ascending order, waiting for each; so two ranges never deadlock."""
    _for_each(connection, sa.func.pg_advisory_lock, job, ordinals)


def unlock_all(connection: sa.Connection, job: str, ordinals: Sequence[int]) -> None:
    """Frees these locks."""
    _for_each(connection, sa.func.pg_advisory_unlock, job, ordinals)


def _for_each(connection: sa.Connection, function: Any, job: str, ordinals: Sequence[int]) -> None:
    numbers = (
        sa.func.unnest(sa.cast(sorted(ordinals), pg.ARRAY(sa.Integer)))
        .table_valued("ordinal")
        .render_derived(name="numbers")
    )
    connection.execute(sa.select(function(lock_class(job), numbers.c.ordinal))).all()


def lock_session(connection: sa.Connection, session_id: int) -> None:
    """Held as long as the session works: RUNNING with this lock free is ABANDONED."""
    connection.execute(
        sa.select(sa.func.pg_advisory_lock(lock_class(_SESSIONS), session_id % 2**31))
    )


def lock_extra_connection(connection: sa.Connection, session_id: int) -> None:
    """Held by each other connection of a session, so that it can be found."""
    connection.execute(
        sa.select(
            sa.func.pg_advisory_lock_shared(lock_class(_EXTRA_CONNECTIONS), session_id % 2**31)
        )
    )


def end_extra_connections(
    connection: sa.Connection, session_ids: Sequence[int], patience_ms: int
) -> None:
    """Ends the other connections of sessions that are over, where the server still has them."""
    connection.execute(
        sa.text(
            "select pg_terminate_backend(pid, :patience) from pg_locks"
            " where locktype = 'advisory' and granted and objsubid = 2"
            " and database = (select oid from pg_database where datname = current_database())"
            " and classid = cast(:class as bigint)::oid"
            " and objid::bigint = any(cast(:sessions as bigint[]))"
        ),
        {
            "patience": patience_ms,
            "class": lock_class(_EXTRA_CONNECTIONS) % 2**32,
            "sessions": [number % 2**31 for number in session_ids],
        },
    ).all()


def holder_pid(connection: sa.Connection, job: str, ordinal: int = WHOLE_JOB) -> int | None:
    """The server process that holds the lock."""
    return connection.execute(
        sa.text(
            "select pid from pg_locks where locktype = 'advisory' and granted and objsubid = 2"
            " and database = (select oid from pg_database where datname = current_database())"
            " and classid = cast(:class as bigint)::oid and objid = cast(:ordinal as bigint)::oid"
        ),
        {"class": lock_class(job) % 2**32, "ordinal": ordinal % 2**32},
    ).scalar()


_HOLDS_ITS_LOCK = (
    "exists (select from pg_locks where locktype = 'advisory' and granted and objsubid = 2"
    " and database = (select oid from pg_database where datname = current_database())"
    " and classid = cast(:session_class as bigint)::oid"
    " and objid = (job_sessions.id % 2147483648)::oid)"
)
_SESSION_CLASS = {"session_class": lock_class(_SESSIONS) % 2**32}
SESSION_WORKS = sa.text(_HOLDS_ITS_LOCK).bindparams(**_SESSION_CLASS)
SESSION_IS_GONE = sa.text(f"not {_HOLDS_ITS_LOCK}").bindparams(**_SESSION_CLASS)
