"""Files of text out of batches: csv and JSON lines of rows that PostgreSQL does not write."""

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from marketing_pipelines.domains.exports.columns import ExportColumn, names_of
from marketing_pipelines.domains.exports.formats.text import header
from marketing_pipelines.domains.exports.formulas import defused_duckdb

if TYPE_CHECKING:
    import pyarrow as pa


class _TextFile:
    def __init__(self, file: IO[bytes], columns: Sequence[ExportColumn]) -> None:
        import duckdb

        self._file = file
        self._columns = columns
        self._duckdb = duckdb.connect(config={"threads": 1, "memory_limit": "128MB"})

    def _query(self, table: "pa.Table", cells: str) -> "pa.Table":
        numbered = table.rename_columns([f"c{place}" for place in range(len(self._columns))])
        self._duckdb.register("batch", numbered)
        try:
            return self._duckdb.execute(f"select {cells} from batch").to_arrow_table()
        finally:
            self._duckdb.unregister("batch")

    def close(self) -> None:
        """Frees the memory of the engine."""
        self._duckdb.close()


class CsvFile(_TextFile):
    """Batches of texts as csv."""

    def __init__(self, file: IO[bytes], columns: Sequence[ExportColumn]) -> None:
        super().__init__(file, columns)
        file.write(header(names_of(columns)))

    def write(self, table: "pa.Table") -> None:
        """Appends rows."""
        import pyarrow as pa
        import pyarrow.csv as pa_csv

        cells = ", ".join(
            f"{defused_duckdb(f'c{place}') if column.type == 'text' else f'c{place}'} as c{place}"
            for place, column in enumerate(self._columns)
        )
        text = pa.BufferOutputStream()
        options = pa_csv.WriteOptions(include_header=False)
        pa_csv.write_csv(self._query(table, cells), text, options)
        self._file.write(text.getvalue())


class JsonFile(_TextFile):
    """Batches of texts as JSON lines."""

    def write(self, table: "pa.Table") -> None:
        """Appends rows."""
        import json

        pieces = []
        for place, column in enumerate(self._columns):
            before = f"{',' if place else '{'}{json.dumps(column.name, ensure_ascii=False)}:"
            value = f"c{place}" if column.type == "object" else f"to_json(c{place})::varchar"
            pieces += [f"'{before.replace(chr(39), chr(39) * 2)}'", f"coalesce({value}, 'null')"]
        lines = self._query(table, " || ".join([*pieces, "'}'"]))
        rows = lines.column(0).to_pylist()
        self._file.write("".join(f"{row}\n" for row in rows).encode())
