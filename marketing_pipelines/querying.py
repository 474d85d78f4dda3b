"""Read-only SQL for analysts, unable to write by construction.

A statement over tables alone runs in PostgreSQL: as a cursor (which only a query can open), in a
read-only transaction, by a role that may read the analysts' tables and nothing else. A statement
that names `lake.contact_activity` runs in DuckDB, where access to files, network and settings is
off before the statement is so much as parsed; the lake is a dataset of exactly the manifest's
files there, and the tables that the statement names are Arrow.

A watchdog outside both sessions ends a statement that takes too long, because a statement can lift
the limits of its own session.
"""

import contextlib
import datetime as dt
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.manifest import all_files
from marketing_pipelines.failures import BadInputError, TimedOutError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.lake import Lake, schema
from marketing_pipelines.stores.postgres import (
    cancel,
    connecting,
    create_engine,
    fast_reader,
    reader_url,
)

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 10_000
MEMORY_LIMIT = "2GB"
TIME_LIMIT = dt.timedelta(minutes=5)
MAX_COLUMNS_NAMED = 10
INSUFFICIENT_PRIVILEGE = "42501"
_LAKE = (b"lake", b".", b"contact_activity")
_WORD = re.compile(rb'"(\w+)"|(\w+)|\.')
_PARTITION_COLUMNS = ("dt", "hr")
_LOCKED: dict[str, Any] = {
    "memory_limit": MEMORY_LIMIT,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}


@dataclass(frozen=True)
class Answer:
    """The columns and, read once, the rows of a query."""

    columns: list[str]
    rows: Iterator[Sequence[Any]]


def ask(
    settings: Settings, statement: str, *, time_limit: dt.timedelta = TIME_LIMIT
) -> Iterator[Answer]:
    """Runs one query; yields its answer once, while the connection is open.

    Args:
        time_limit: Time limit of the query, reading its rows included.

    Raises:
        BadInputError: it is not a query, it would write, or it fails.
        TimedOutError: it took longer than the time limit.
    """
    if _names_lake(statement):
        yield from _ask_duckdb(settings, statement, time_limit)
    else:
        yield from _ask_postgres(settings, statement, time_limit)


def _names_lake(statement: str) -> bool:
    """Returns true if the statement itself names the lake's table, not a text or comment in it."""
    if "lake" not in statement.lower():
        return False
    import duckdb

    text = statement.encode()
    starts = [start for start, kind in duckdb.tokenize(statement) if kind != _text_token()]
    found = [_WORD.match(text, start) for start in starts]
    words = [(match[1] or match[2] or match[0]).lower() if match else b"" for match in found]
    return _LAKE in zip(words, words[1:], words[2:], strict=False)


def _text_token() -> Any:
    import duckdb

    return duckdb.token_type.string_const


def _ask_postgres(settings: Settings, statement: str, time_limit: dt.timedelta) -> Iterator[Answer]:
    import psycopg
    from psycopg.types.json import set_json_loads

    url = reader_url(settings)
    with connecting(url), create_engine(url, application_name="query").connect() as connection:
        connection.exec_driver_sql("set transaction read only")
        driver: Any = connection.connection.driver_connection
        set_json_loads(partial(json.loads, parse_float=Decimal), driver)
        try:
            with (
                _ended_after(time_limit, partial(cancel, driver)),
                driver.cursor(name="query") as cursor,
            ):
                cursor.execute(statement.strip().rstrip(";"))
                columns = _told_apart([column.name for column in cursor.description or ()])
                cursor.itersize = BATCH_ROWS
                yield Answer(columns, iter(cursor))
        except psycopg.Error as error:
            raise _refused(error, connection, statement) from error


def _ask_duckdb(settings: Settings, statement: str, time_limit: dt.timedelta) -> Iterator[Answer]:
    import adbc_driver_manager
    import duckdb

    url = reader_url(settings)
    lake = Lake(settings.effective_lake_url)
    with (
        connecting(url),
        create_engine(url, application_name="query").connect() as connection,
        duckdb.connect(config=_LOCKED) as duck,
    ):
        duck.execute("set TimeZone = 'UTC'")
        duck.execute("set enable_external_access = false")
        duck.execute("set lock_configuration = true")
        try:
            with _ended_after(time_limit, duck.interrupt):
                parsed = duck.extract_statements(statement)
                if len(parsed) != 1 or parsed[0].type not in _reading_types():
                    raise BadInputError(
                        "`query` takes one statement that reads: select, with, from."
                    )
                _hand_over_lake(duck, connection, lake)
                _hand_over_tables(duck, connection, statement)
                answer = duck.execute(parsed[0])
                columns = _told_apart([column[0] for column in answer.description or ()])
                yield Answer(columns, _batches(answer))
        except (duckdb.Error, adbc_driver_manager.Error, sa.exc.ProgrammingError) as error:
            raise _refused(error, connection, statement) from error


@contextlib.contextmanager
def _ended_after(limit: dt.timedelta, end: Callable[[], object]) -> Iterator[None]:
    """Ends the statements of a session from outside, from when its time is up.

    Args:
        end: Ends the statement that the session is doing, if any; called from another thread.

    Raises:
        TimedOutError: the time was up.
    """
    is_over, is_done = threading.Event(), threading.Event()

    def watch() -> None:
        if is_done.wait(limit.total_seconds()):
            return
        is_over.set()
        end()
        while not is_done.wait(1):
            end()

    watchdog = threading.Thread(target=watch, name="query-watchdog", daemon=True)
    watchdog.start()
    try:
        yield
    except Exception as error:
        if not is_over.is_set():
            raise
        raise TimedOutError(
            f"The query was stopped after {limit.total_seconds():g} s, the time it may take."
        ) from error
    finally:
        is_done.set()
        watchdog.join()


def _reading_types() -> tuple[Any, ...]:
    import duckdb

    return (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


def _hand_over_lake(
    duck: "duckdb.DuckDBPyConnection", connection: sa.Connection, lake: Lake
) -> None:
    import pyarrow as pa
    import pyarrow.dataset as ds

    layout = ds.partitioning(
        pa.schema([(name, pa.string()) for name in _PARTITION_COLUMNS]), flavor="hive"
    )
    columns = schema()
    for name in _PARTITION_COLUMNS:
        columns = columns.append(pa.field(name, pa.string()))
    paths = all_files(connection, lake)
    dataset = ds.FileSystemDataset.from_paths(
        paths,
        schema=columns,
        format=ds.ParquetFileFormat(),
        filesystem=_arrow_filesystem(lake),
        partitions=[layout.parse(path) for path in paths],
    )
    duck.register("lake_contact_activity", dataset)
    duck.execute("create schema lake")
    duck.execute("create view lake.contact_activity as from lake_contact_activity")


def _arrow_filesystem(lake: Lake) -> Any:
    import pyarrow.fs as pa_fs

    if lake.is_local:
        return pa_fs.LocalFileSystem()
    return pa_fs.PyFileSystem(pa_fs.FSSpecHandler(lake.filesystem))


def _hand_over_tables(
    duck: "duckdb.DuckDBPyConnection", connection: sa.Connection, statement: str
) -> None:
    """The PostgreSQL tables that the statement names, as tables of the same name."""
    for schema_name, name in sorted(_named_tables(duck, statement)):
        relation = sa.table(name, schema=schema_name or None)
        quoted = connection.dialect.identifier_preparer.format_table(relation)
        exists = connection.execute(sa.select(sa.func.to_regclass(quoted))).scalar()
        if exists is None:
            continue
        with fast_reader(connection.engine.url) as source, source.cursor() as cursor:
            cursor.execute(f"select * from {quoted}")
            duck.register("incoming", cursor.fetch_record_batch())
            if relation.schema:
                duck.execute(f'create schema if not exists "{relation.schema}"')
            duck.execute(f"create table {quoted} as from incoming")
            duck.unregister("incoming")


def _named_tables(duck: "duckdb.DuckDBPyConnection", statement: str) -> set[tuple[str, str]]:
    """Returns schema (or nothing) and name of each table that a statement names. It reads the parse
    tree: binding would need the tables' columns."""
    [(text,)] = duck.execute("select json_serialize_sql($1::varchar)", [statement]).fetchall()
    tree = json.loads(text)
    if tree["error"]:
        # Of `explain` there is no tree.
        names = (name.rpartition(".") for name in duck.get_table_names(statement, qualified=True))
        return {(schema_name, name.partition(" AS ")[0]) for schema_name, _, name in names}
    return set(_tables_of(tree["statements"]))


def _tables_of(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict) and node.get("type") == "BASE_TABLE":
        yield node["schema_name"], node["table_name"]
    if isinstance(node, (dict, list)):
        for below in node.values() if isinstance(node, dict) else node:
            yield from _tables_of(below)


def _batches(answer: "duckdb.DuckDBPyConnection") -> Iterator[Sequence[Any]]:
    while rows := answer.fetchmany(BATCH_ROWS):
        yield from rows


def _told_apart(names: Sequence[str]) -> list[str]:
    """`sum, sum` → `sum, sum_2`: formats that name values would lose one."""
    told_apart: list[str] = []
    for name in names:
        numbered = (f"{name}_{number}" for number in count(2))
        told_apart.append(next(n for n in chain([name], numbered) if n not in told_apart))
    return told_apart


def _refused(error: Exception, connection: sa.Connection, statement: str) -> BadInputError:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
    sentence = f"The query, one statement that only reads, was refused: {text.rstrip('.!')}"
    if _is_denied(error):
        sentence += _unreadable(connection, statement, text)
    return BadInputError(f"{sentence}.")


def _is_denied(error: Exception) -> bool:
    cause = getattr(error, "orig", error)
    return getattr(cause, "sqlstate", None) == INSUFFICIENT_PRIVILEGE


def _unreadable(connection: sa.Connection, statement: str, text: str) -> str:
    """Names the table and the columns that the role may not read, if the error is about them. Only
    columns in the statement are named, or else all; another error gives an empty text."""
    connection.rollback()
    words = {(quoted or plain.lower()) for quoted, plain in _NAME.findall(statement)}
    parameters = {"words": sorted(words), "told": re.findall(r"\w+", text)}
    found = connection.execute(_UNREADABLE, parameters).all()
    clauses = []
    for relation, is_wholly_closed, columns in found:
        closed = [name for name in columns if name in words] or columns
        if is_wholly_closed:
            clauses.append(f"; analysts may read no column of {relation}")
        else:
            names = ", ".join(closed[:MAX_COLUMNS_NAMED])
            more = len(closed) - MAX_COLUMNS_NAMED
            names += f" and {more} more" if more > 0 else ""
            clauses.append(f"; of {relation} analysts may not read {names}")
    return "".join(clauses)


_NAME = re.compile(r'"([^"]+)"|(\w+)')
_UNREADABLE = sa.text("""
    select relation.oid::regclass::text,
        bool_and(not readable),
        array_agg(attname::text order by attnum) filter (where not readable)
    from pg_class as relation
    join pg_namespace as schema on schema.oid = relation.relnamespace
    join pg_attribute as attribute on attribute.attrelid = relation.oid
    cross join has_column_privilege(relation.oid, attnum, 'select') as readable
    where relkind in ('r', 'v', 'm', 'p', 'f') and attnum > 0 and not attisdropped
        and relname = any(:words) and relname = any(:told)
        and (nspname = any(:words) or pg_table_is_visible(relation.oid))
    group by relation.oid
    having not bool_and(readable)
    order by 1
""")
