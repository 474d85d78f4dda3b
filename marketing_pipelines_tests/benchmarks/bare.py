"""The least that work can cost: the same rows by PostgreSQL and a Parquet writer alone."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

KEYS = "organization_id, event_id, activity_id, occurred_at, received_at"
LAKE_COLUMNS = """
    organization_id, event_id, contact_id, event_type, source_type, source_id,
    occurred_at at time zone 'UTC' as occurred_at, received_at at time zone 'UTC' as received_at,
    properties -> 'machine_open' = 'true' as machine_open, properties
"""
BLOCK = 1 << 20


def load(url: str, folder: Path) -> dict[str, float]:
    """Copies all events of the busiest month into an identical table, and inserts their keys.

    Triggers are left out; indexes and constraints are those of the month and of the keys.
    """
    path = folder / "bare.copy"
    with psycopg.connect(url, autocommit=True) as connection:
        month = _busiest_month(connection)
        connection.execute(f"create table bare_events (like {month} including all)")
        connection.execute("create table bare_keys (like analytics.event_keys including all)")
        with path.open("wb") as file, connection.cursor().copy(f"copy {month} to stdout") as out:
            for block in out:
                file.write(block)
        started = time.monotonic()
        with connection.transaction():
            with (
                path.open("rb") as file,
                connection.cursor().copy("copy bare_events from stdin") as into,
            ):
                while block := file.read(BLOCK):
                    into.write(block)
            rows = connection.execute(
                f"insert into bare_keys ({KEYS})"
                f" select {KEYS.replace('activity_id', 'id')} from bare_events"
                " order by organization_id, event_id"
            ).rowcount
        seconds = time.monotonic() - started
        connection.execute("drop table bare_events, bare_keys")
    path.unlink()
    return {"rows": rows, "seconds": seconds}


def export(url: str, first: str, last: str, folder: Path) -> dict[str, float]:
    """Pipes the rows of a span from one COPY into a Parquet writer."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    from marketing_pipelines.stores.lake import schema

    rows = 0
    with psycopg.connect(url) as connection:
        connection.execute("set work_mem = '128MB'")
        connection.execute("set enable_seqscan = off")
        query = psycopg.sql.SQL(
            "copy (select " + LAKE_COLUMNS + " from analytics.contact_activity"
            " where occurred_at >= {} and occurred_at < {}"
            " order by contact_activity.occurred_at, organization_id, event_id)"
            " to stdout (format csv)"
        ).format(first, last)
        started = time.monotonic()
        reading, writing = os.pipe()
        sender = threading.Thread(target=_send, args=(connection, query, writing))
        sender.start()
        names = schema().names
        types = {field.name: field.type for field in schema()}
        clock_time = pa.timestamp("us")
        options = pa_csv.ConvertOptions(
            column_types=types | {"occurred_at": clock_time, "received_at": clock_time},
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
        )
        with (
            os.fdopen(reading, "rb") as pipe,
            pa_csv.open_csv(
                pipe,
                read_options=pa_csv.ReadOptions(column_names=names),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                convert_options=options,
            ) as batches,
            pq.ParquetWriter(
                folder / "bare.parquet", batches.schema, compression="zstd", compression_level=1
            ) as writer,
        ):
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
        sender.join()
        seconds = time.monotonic() - started
    return {"rows": rows, "seconds": seconds}


def _send(connection: "psycopg.Connection[Any]", query: Any, writing: int) -> None:
    with os.fdopen(writing, "wb") as pipe, connection.cursor().copy(query) as out:
        for block in out:
            pipe.write(block)


def _busiest_month(connection: "psycopg.Connection[Any]") -> str:
    found = connection.execute(
        "select inhrelid::regclass::text from pg_inherits"
        " where inhparent = 'analytics.contact_activity'::regclass"
        " order by pg_relation_size(inhrelid) desc limit 1"
    ).fetchone()
    assert found is not None
    return str(found[0])
