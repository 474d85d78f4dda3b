"""From a file's columns to the columns a kind of row knows, as text, for every file format.

Columns that the kind does not know are gathered in `extras`, one JSON object a row: a text cell
that holds a JSON object or list is kept as JSON, other text stays text, typed values keep their
JSON type.
"""

import json
from typing import TYPE_CHECKING

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading.batches import Batch, Reader
from marketing_pipelines.loading.checker import Checker, read_sql
from marketing_pipelines.loading.files import MAX_COLUMNS
from marketing_pipelines.loading.results import Reject

if TYPE_CHECKING:
    import pyarrow as pa

MAX_FURTHER = 10_000
# The cells of a row as JSON texts. One expression for all columns: planning it takes milliseconds
# in every batch, and a file may have 2,000 columns.
_JSON_TEXTS = """
    list_transform([{cells}], lambda cell:
        case
            when cell is null then 'null'
            when (starts_with(ltrim(cell), '{{') or starts_with(ltrim(cell), '['))
                and json_valid(cell) and json_problem('{{"value":' || cell || '}}') is null
            then cell
            else to_json(cell)::varchar
        end)
"""


class ColumnPicker:
    """Turns batches of one reader into tables of `line`, the known columns and `extras`.

    Args:
        known: columns of the kind; they come out as text, null if empty or absent.
        json: the ones of them with JSON objects.

    `further` are the names of unknown columns that were met, without the ones of a batch beyond
    `MAX_FURTHER`.

    `extras` is null where there is nothing unknown; a key whose cell is empty has the value null.
    Rows of JSON lines have `keys` too, the names that their line holds.
    """

    def __init__(
        self, reader: Reader, known: tuple[str, ...], json: tuple[str, ...], checker: Checker
    ) -> None:
        self._reader = reader
        self._known = known
        self._json = json
        self._checker = checker
        self._met = set(reader.columns or ()) & set(known)
        self.further = set(reader.columns or ()) - set(known)

    def missing(self, required: tuple[str, ...]) -> list[str]:
        """The columns of some that no row has had so far."""
        return [name for name in required if name not in self._met]

    def pick(self, batch: Batch) -> tuple["pa.Table", list[Reject]]:
        """The rows, and those refused because their line is not the JSON it should be."""
        if self._reader.columns is None:
            return self._from_documents(batch)
        return self._from_columns(batch.table, self._reader.columns), []

    def _from_columns(self, table: "pa.Table", header: list[str]) -> "pa.Table":
        import pyarrow as pa

        types = table.schema.types[1:]
        selected = ["line"]
        for name in self._known:
            if name not in header:
                selected.append(f'cast(null as varchar) as "{name}"')
                continue
            at = header.index(name)
            self._refuse_nested(name, types[at])
            selected.append(f'{_known_value(f"c{at}", types[at])} as "{name}"')
        names: list[str] = []
        pairs: list[str] = []
        cells: list[str] = []
        for at, name in enumerate(header):
            if name in self._known:
                continue
            names.append(name)
            if pa.types.is_string(types[at]):
                cells.append(f"nullif(c{at}, '')")
                value = f"texts[{len(cells)}]"
            else:
                value = _typed_value(f"c{at}", types[at])
            pairs.append(f"to_json(${len(names)}::varchar) || ':' || {value}")
        extras = f"'{{' || concat_ws(',', {', '.join(pairs)}) || '}}'" if pairs else "null::varchar"
        selected.append(f"{extras} as extras")
        texts = _JSON_TEXTS.format(cells=", ".join(cells)) if cells else "null"
        sql = f"select {', '.join(selected)} from (select *, {texts} as texts from batch)"
        return self._checker.query(sql, {"batch": table}, names or None)

    def _refuse_nested(self, name: str, kind: "pa.DataType") -> None:
        import pyarrow as pa

        if pa.types.is_nested(kind) and name not in self._json:
            raise BadInputError(
                f"{self._reader.path}: the column {name} holds {kind}, but text is needed."
            )

    def _from_documents(self, batch: Batch) -> tuple["pa.Table", list[Reject]]:
        import pyarrow.compute as pc

        values = ", ".join(
            f"nullif(texts[{at}], '') as \"{name}\"" for at, name in enumerate(self._known, start=1)
        )
        looks_nested = " or ".join(
            f"starts_with(texts[{at}], '{{') or starts_with(texts[{at}], '[')"
            for at, name in enumerate(self._known, start=1)
            if name not in self._json
        )
        paths = [f"$.{name}" for name in self._known]
        plain = [f"$.{name}" for name in self._known if name not in self._json]
        picked = self._checker.query(
            read_sql("open_documents").format(values=values, looks_nested=looks_nested),
            {"batch": batch.table},
            {
                "paths": paths,
                "plain": plain,
                "known": list(self._known),
                "nulls": json.dumps(dict.fromkeys(self._known)),
                "max_columns": MAX_COLUMNS,
            },
        )
        if picked["problem"].null_count < picked.num_rows:
            wrong = picked.filter(pc.is_valid(picked["problem"]))
            rejects = [
                Reject(line, "", problem)
                for line, problem in zip(
                    wrong["line"].to_pylist(), wrong["problem"].to_pylist(), strict=True
                )
            ]
            picked = picked.filter(pc.is_null(picked["problem"]))
        else:
            rejects = []
        keys = pc.unique(pc.list_flatten(picked["keys"])).to_pylist()
        self._met |= set(keys) & set(self._known)
        if len(self.further) < MAX_FURTHER:
            self.further |= set(keys) - set(self._known)
        return picked.drop_columns(["problem"]), rejects


def _known_value(column: str, kind: "pa.DataType") -> str:
    """SQL of a known column as text."""
    import pyarrow as pa

    if pa.types.is_string(kind):
        return f"nullif({column}, '')"
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            return f"strftime({column}::timestamp, '%Y-%m-%dT%H:%M:%S.%f')"
        return f"strftime({column} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    if pa.types.is_nested(kind):
        return f"to_json({column})::varchar"
    if pa.types.is_floating(kind):
        # Beyond, neighbours are one number: its notation tells that it may have been rounded.
        exact = 1 << (24 if kind.bit_width <= 32 else 53)
        return (
            f"case when not isfinite({column}) then null"
            f" when {column} <> trunc({column}) then {column}::varchar"
            f" when abs({column}) <= {exact} then {column}::bigint::varchar"
            f" else format('{{:e}}', {column}::double) end"
        )
    return f"{column}::varchar"


def _typed_value(column: str, kind: "pa.DataType") -> str:
    """SQL of an unknown column that is not text as JSON text, `null` where it is empty."""
    import pyarrow as pa

    if pa.types.is_floating(kind):
        shown = f"{column}::varchar" if kind.bit_width <= 32 else f"to_json({column})::varchar"
        return f"case when isfinite({column}) then {shown} else 'null' end"
    return f"coalesce(to_json({column})::varchar, 'null')"
