"""Parquet: columns keep their types, where a table has such."""

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from marketing_pipelines.domains.exports.columns import ExportColumn

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_ROWS = 65_536


def schema_of(columns: Sequence[ExportColumn]) -> "pa.Schema":
    """The types of columns; numbers have 9 places after the point, objects are JSON texts."""
    import pyarrow as pa

    types = {
        "integer": pa.int64(),
        "number": pa.decimal128(38, 9),
        "date": pa.date32(),
        "instant": pa.timestamp("us", tz="UTC"),
        "boolean": pa.bool_(),
        "list": pa.list_(pa.string()),
    }
    return pa.schema(
        [pa.field(column.name, types.get(column.type, pa.string())) for column in columns]
    )


class ParquetFile:
    """A Parquet file while it is written."""

    def __init__(self, file: IO[bytes], columns: Sequence[ExportColumn]) -> None:
        import pyarrow.parquet as pq

        self._schema = schema_of(columns)
        self._writer: Any = pq.ParquetWriter(file, self._schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, table: "pa.Table") -> None:
        """Appends rows, whose columns are cast to those of the file."""
        table = table.rename_columns(self._schema.names).cast(self._schema)
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Finishes the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            # Small batches in one row group each would make a file that is slow to read.
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=ROW_GROUP_ROWS)
        self._waiting, self._rows = [], 0
