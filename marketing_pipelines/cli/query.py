"""`query`: read-only SQL over the analytics tables and the lake."""

import contextlib
import csv
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import typer

from marketing_pipelines.cli.output import is_terminal, json_text, print_table, text_of
from marketing_pipelines.cli.session import connected
from marketing_pipelines.querying import Answer, ask

OutputFormat = Literal["table", "csv", "json", "parquet"]
# A statement may begin with a comment, which looks like an option.
CONTEXT = {"ignore_unknown_options": True}


def query(
    sql: Annotated[str, typer.Argument(help="One statement that only reads.")],
    format: Annotated[OutputFormat, typer.Option(help="Format of the output.")] = "table",
) -> None:
    """Run read-only SQL on the analytics tables and the lake (`lake.contact_activity`)."""
    with connected() as (settings, _), _asked(settings, sql) as answer:
        _WRITERS[format](answer)


@contextlib.contextmanager
def _asked(settings: Any, sql: str) -> Iterator[Answer]:
    yield from ask(settings, sql)


def _write_table(answer: Answer) -> None:
    print_table(answer.columns, answer.rows)


def _write_csv(answer: Answer) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows([_csv_cell(value) for value in row] for row in answer.rows)


def _csv_cell(value: Any) -> str:
    is_plain = isinstance(value, float) and math.isfinite(value)
    return repr(value) if is_plain else text_of(value)


def _write_json(answer: Answer) -> None:
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    print(json_text(rows, indent=2 if is_terminal() else None))


def _write_parquet(answer: Answer) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(zip(*answer.rows, strict=True)) or [()] * len(answer.columns)
    table = pa.table([_arrow_column(column) for column in columns], names=answer.columns)
    pq.write_table(table, sys.stdout.buffer)


def _arrow_column(values: Sequence[Any]) -> Any:
    """Values of one type as that type; objects, and values that share no type, as text."""
    import pyarrow as pa

    if not any(isinstance(value, dict) for value in values):
        with contextlib.suppress(pa.ArrowInvalid, TypeError, OverflowError):
            return pa.array(values)
    return pa.array([None if value is None else text_of(value) for value in values])


_WRITERS = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}
