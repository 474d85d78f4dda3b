"""`warehouse.duckdb`: the aggregates in one file, moved or put into its place when it is whole."""

from pathlib import Path

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.tables import lake_hours
from marketing_pipelines.stores.files import TEMPORARY_PREFIX, FileStore
from marketing_pipelines.stores.lake import Lake
from marketing_pipelines.stores.postgres import fast_reader
from marketing_pipelines.stores.schema import analysts_see_attributes

RELATIONS = (
    "hourly_events",
    "daily_events",
    "monthly_usage",
    "campaign_daily_stats",
    "campaign_daily_rates",
    "organizations",
    "campaigns",
)
PATH = "warehouse.duckdb"
ATTRIBUTES = "contact_attributes"


def publish(connection: sa.Connection, files: FileStore, lake: Lake) -> dict[str, int]:
    """Writes a new file, which replaces the old one when it is whole.

    Returns:
        Rows by table; names and attributes of contacts are among them if analysts may read them.
        The view `contact_activity` reads the lake's files that the manifest lists.

    Raises:
        StoreUnavailableError: it cannot be written.
    """
    if files.folder is not None:
        # The job's lock is held, so files here are left over from a killed process.
        for litter in files.folder.glob(f"{TEMPORARY_PREFIX}*"):
            litter.unlink(missing_ok=True)
    with files.making(PATH) as temporary:
        return _write(connection, temporary, lake)


def _write(connection: sa.Connection, path: Path, lake: Lake) -> dict[str, int]:
    import duckdb
    import pyarrow as pa

    snapshot = connection.exec_driver_sql("select pg_export_snapshot()").scalar_one()
    path.unlink(missing_ok=True)
    rows: dict[str, int] = {}
    with (
        duckdb.connect(str(path), config={"memory_limit": "1GB"}) as target,
        fast_reader(connection.engine.url) as source,
        source.cursor() as cursor,
    ):
        cursor.execute("begin isolation level repeatable read read only")
        cursor.execute(f"set transaction snapshot '{snapshot}'")
        shown = (ATTRIBUTES,) if analysts_see_attributes(connection) else ()
        for relation in (*RELATIONS, *shown):
            cursor.execute(f"select * from analytics.{relation}")
            incoming = cursor.fetch_record_batch()
            target.register("incoming", incoming)
            columns = "* replace (attributes::json as attributes)" if relation in shown else "*"
            target.execute(f"create table {relation} as select {columns} from incoming")
            target.unregister("incoming")
            (rows[relation],) = target.sql(f"select count(*) from {relation}").fetchall()[0]
        hours = connection.execute(sa.select(lake_hours.c.hour).where(lake_hours.c.rows > 0))
        files = [lake.engine_path(hour) for hour in hours.scalars()]
        target.register("incoming", pa.table({"path": pa.array(files, pa.string())}))
        target.execute("create table lake_files as from incoming")
        target.unregister("incoming")
        if files and lake.is_local:
            target.execute(
                "create view contact_activity as from read_parquet("
                f"'{lake.root.replace(chr(39), chr(39) * 2)}/contact_activity/*/*/events.parquet',"
                " hive_partitioning = true, filename = true)"
                " where filename in (select path from lake_files)"
            )
    return rows
