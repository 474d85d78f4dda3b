"""Read-only SQL for analysts, unable to write by construction.

A statement over tables alone runs in PostgreSQL: as a cursor (which only a query can open), in a
read-only transaction, by a role that may read the analysts' tables and nothing else. A statement
that names `lake.` runs in DuckDB with access to files, network and settings switched off; the lake
is handed to it as a dataset of exactly the manifest's files, and the tables it names as Arrow.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.manifest import all_files
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.lake import Lake, schema
from marketing_pipelines.stores.postgres import (
    connecting,
    create_engine,
    fast_reader,
    reader_url,
)

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 10_000
MEMORY_LIMIT = "2GB"
_LAKE = re.compile(r"\blake\s*\.", re.IGNORECASE)
_PARTITION_COLUMNS = ("dt", "hr")


@dataclass(frozen=True)
class Answer:
    """The columns and, read once, the rows of a query."""

    columns: list[str]
    rows: Iterator[Sequence[Any]]


def ask(settings: Settings, statement: str) -> Iterator[Answer]:
    """Runs one query; yields its answer once, with the connection open meanwhile.

    Raises:
        BadInputError: it is not a query, it would write, or it fails.
    """
    if _LAKE.search(statement):
        yield from _ask_duckdb(settings, statement)
    else:
        yield from _ask_postgres(settings, statement)


def _ask_postgres(settings: Settings, statement: str) -> Iterator[Answer]:
    import psycopg

    url = reader_url(settings)
    with connecting(url), create_engine(url, application_name="query").connect() as connection:
        connection.exec_driver_sql("set transaction read only")
        driver: Any = connection.connection.driver_connection
        try:
            with driver.cursor(name="query") as cursor:
                cursor.execute(statement.strip().rstrip(";"))
                columns = _told_apart([column.name for column in cursor.description or ()])
                cursor.itersize = BATCH_ROWS
                yield Answer(columns, iter(cursor))
        except psycopg.Error as error:
            raise _refused(error) from error


def _ask_duckdb(settings: Settings, statement: str) -> Iterator[Answer]:
    import adbc_driver_manager
    import duckdb

    url = reader_url(settings)
    lake = Lake(settings.effective_lake_url)
    with (
        connecting(url),
        create_engine(url, application_name="query").connect() as connection,
        duckdb.connect(config={"memory_limit": MEMORY_LIMIT}) as duck,
    ):
        duck.execute("set TimeZone = 'UTC'")
        _hand_over_lake(duck, connection, lake)
        try:
            _hand_over_tables(duck, connection, statement)
            duck.execute("set enable_external_access = false")
            duck.execute("set lock_configuration = true")
            parsed = duck.extract_statements(statement)
            if len(parsed) != 1 or parsed[0].type not in _reading_types():
                raise BadInputError("`query` takes one statement that reads: select, with, from.")
            answer = duck.execute(parsed[0])
            columns = _told_apart([column[0] for column in answer.description or ()])
            yield Answer(columns, _batches(answer))
        except (duckdb.Error, adbc_driver_manager.Error, sa.exc.ProgrammingError) as error:
            raise _refused(error) from error


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
    named = {name.partition(" AS ")[0] for name in duck.get_table_names(statement, qualified=True)}
    for parts in (name.split(".") for name in sorted(named)):
        relation = sa.table(parts[-1], schema=parts[0] if len(parts) == 2 else None)
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


def _refused(error: Exception) -> BadInputError:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
    return BadInputError(
        f"The query was refused, which takes one statement that reads: {text.rstrip('.!')}."
    )
