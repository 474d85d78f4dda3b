"""Databases that tests use in turn: emptied, they are as new ones, ten times as fast."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import psycopg

# The tables with rows in a new database: ours, and those of Dagster's storage.
_KEPT = (
    "public.alembic_version",
    "ops.installation",
    "ops.schema_files",
    "ops.zones",
    "public.secondary_indexes",
    "public.secondary_indexes_id_seq",
)

# Without triggers: one keeps events from being removed. Most tables have never had a row.
EMPTY = f"""
    do $$ declare name text; begin
        set local session_replication_role = replica;
        for name in
            select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables
            where left(schemaname, 3) <> 'pg_' and schemaname <> 'information_schema'
            and schemaname || '.' || tablename not in {_KEPT}
            and pg_relation_size(
                (quote_ident(schemaname) || '.' || quote_ident(tablename))::regclass) > 0
        loop
            execute 'delete from ' || name;
        end loop;
        perform setval(concat(quote_ident(schemaname), '.', quote_ident(sequencename)), 1, false)
        from pg_sequences
        where last_value is not null and schemaname || '.' || sequencename not in {_KEPT};
    end $$
"""

# Waits for their ends, with which what is temporary of them goes.
_END_OTHERS = """
    select pg_terminate_backend(pid, 10000) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
"""

# Tables, functions and the like, settings of the database, and what the planner knows. Each new
# version of a row has a higher number of a transaction.
_CATALOGS = (
    "pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_default_acl",
    "pg_event_trigger", "pg_extension", "pg_index", "pg_inherits", "pg_policy", "pg_proc",
    "pg_rewrite", "pg_sequence", "pg_statistic", "pg_trigger", "pg_type",
)  # fmt: skip
_COUNTED = {
    **dict.fromkeys(_CATALOGS, "true"),
    "pg_namespace": "left(nspname, 3) <> 'pg_'",
    "pg_database": "datname = current_database()",
    "pg_db_role_setting": "setdatabase ="
    " (select oid from pg_database where datname = current_database())",
    "ops.installation": "true",
    "ops.schema_files": "true",
    "ops.zones": "true",
    "public.alembic_version": "true",
}
_STATE = " union all ".join(
    f"select count(*), sum(xmin::text::bigint) from {table} where {condition}"
    for table, condition in _COUNTED.items()
)
# Rows that were removed stay in their files until these are made anew.
_LARGEST_GROWTH = 20_000_000
_SIZE = "select pg_database_size(current_database())"


@dataclass
class Reused:
    """A database and the connection that empties it."""

    url: str
    _connection: psycopg.Connection[Any] | None = None

    def empty(self) -> psycopg.Connection[Any]:
        """Ends what still uses it and removes the rows that a new one has not.

        Returns:
            The connection by which it was done.
        """
        for _ in range(2):
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self.url, autocommit=True)
            # A test may have ended every connection.
            with contextlib.suppress(psycopg.OperationalError):
                self._connection.execute(_END_OTHERS)
                self._connection.execute(EMPTY)
                return self._connection
            self._connection.close()
        raise RuntimeError(f"{self.url} cannot be emptied.")

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()


@dataclass
class Databases:
    """Migrated databases that tests use one after the other, as long as only their rows change.

    Attributes:
        new: Makes one, which is gone at the end.
    """

    new: Callable[[], AbstractContextManager[str]]
    _free: list["_Kept"] = field(default_factory=list)

    @contextlib.contextmanager
    def one(self) -> Iterator[str]:
        """Lends a database without rows."""
        kept = self._free.pop() if self._free else self._made()
        try:
            yield kept.database.url
        finally:
            if kept.is_as_new():
                self._free.append(kept)
            else:
                kept.end.close()

    def _made(self) -> "_Kept":
        end = contextlib.ExitStack()
        database = Reused(end.enter_context(self.new()))
        end.callback(database.close)
        return _Kept(database, end, *_looked_at(database.empty()))

    def close(self) -> None:
        """Removes those that are free."""
        for kept in self._free:
            kept.end.close()


@dataclass
class _Kept:
    database: Reused
    end: contextlib.ExitStack
    size: int
    state: list[Any]

    def is_as_new(self) -> bool:
        with contextlib.suppress(psycopg.Error):
            size, state = _looked_at(self.database.empty())
            return state == self.state and size - self.size < _LARGEST_GROWTH
        return False


def _looked_at(connection: psycopg.Connection[Any]) -> tuple[int, list[Any]]:
    """Returns the size of a database, and all that tells it apart from a new one."""
    [(size,)] = connection.execute(_SIZE).fetchall()
    return size, connection.execute(_STATE).fetchall()
