"""`query`: read-only SQL over the analytics tables and the lake."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import typer

from marketing_pipelines.cli.output import plain, print_table, text_of
from marketing_pipelines.cli.session import connected
from marketing_pipelines.querying import Answer, ask

Format = Literal["table", "csv", "json", "parquet"]


def query(
    sql: Annotated[str, typer.Argument(help="One statement that reads.")],
    format: Annotated[Format, typer.Option(help="How to print it.")] = "table",
) -> None:
    """Ask the analytics tables and the lake (`lake.contact_activity`); nothing can be written."""
    with connected() as (settings, _), _asked(settings, sql) as answer:
        _WRITERS[format](answer)


@contextmanager
def _asked(settings: Any, sql: str) -> Iterator[Answer]:
    yield from ask(settings, sql)


def _write_table(answer: Answer) -> None:
    print_table(answer.columns, answer.rows)


def _write_csv(answer: Answer) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows([_csv_cell(value) for value in row] for row in answer.rows)


def _write_json(answer: Answer) -> None:
    rows = [dict(zip(answer.columns, map(plain, row), strict=True)) for row in answer.rows]
    print(json.dumps(rows, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def _write_parquet(answer: Answer) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(zip(*answer.rows, strict=True)) or [()] * len(answer.columns)
    arrays = [pa.array(map(_arrow_value, column)) for column in columns]
    pq.write_table(pa.table(arrays, names=answer.columns), sys.stdout.buffer)


def _csv_cell(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (dict, list)):
        return json.dumps(plain(value), ensure_ascii=False)
    return text_of(value)


def _arrow_value(value: Any) -> Any:
    return plain(value) if isinstance(value, (dict, list)) or not hasattr(value, "year") else value


_WRITERS = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}
