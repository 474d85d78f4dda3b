"""Arrow's types as the checks can read them, without loss: nothing becomes another value.

A value without a type in DuckDB and PostgreSQL keeps its digits as text or in a wider type;
instants and days that they cannot hold are found, so that their rows are refused.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_DECIMAL_DIGITS = 38
_MAX_DAY = 106_751_991
_MIN_MICROS = -9_223_372_022_400_000_000
_MAX_MICROS = (1 << 63) - 2
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def readable(column: "pa.Array") -> "pa.Array":
    """A column without dictionaries, its text as binary, in types that DuckDB has."""
    import pyarrow as pa

    plain = _plain(column.type)
    if plain != column.type:
        if pa.types.is_nested(column.type):
            # A cast of a slice would write out the lists of the whole array.
            column = column.take(pa.array(range(len(column)), pa.int64()))
        column = column.cast(plain)
    kind = column.type
    if pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.binary())
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return column.cast(pa.large_binary()).cast(pa.binary())
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return column.cast(pa.binary_view()).cast(pa.binary())
    if pa.types.is_string(kind):
        return column.view(pa.binary())
    return column


def _plain(kind: "pa.DataType") -> "pa.DataType":
    """The type without dictionaries, half floats and decimals of more than 38 digits."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal(kind) and kind.precision > _MAX_DECIMAL_DIGITS:
        return pa.string()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        field = kind.value_field
        plain = field.with_type(_plain(field.type))
        return pa.list_(plain) if pa.types.is_list(kind) else pa.large_list(plain)
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    return kind


def out_of_range(column: "pa.Array") -> list[int]:
    """The positions of instants and days that a timestamp of PostgreSQL cannot hold."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_timestamp(kind):
        scale = _PER_SECOND[kind.unit]
        low, high = _MIN_MICROS * scale // 1_000_000 + 1, _MAX_MICROS * scale // 1_000_000
        low, high = max(low, -(1 << 63) + 2), min(high, _MAX_MICROS)
        numbers = column.view(pa.int64())
    elif pa.types.is_date32(kind):
        low, high, numbers = -_MAX_DAY, _MAX_DAY, column.view(pa.int32()).cast(pa.int64())
    else:
        return []
    least, most = pc.min_max(numbers).values()
    if not least.is_valid or (least.as_py() >= low and most.as_py() <= high):
        return []
    beyond = pc.or_(pc.less(numbers, low), pc.greater(numbers, high)).fill_null(False)
    positions: list[int] = np.flatnonzero(beyond.to_numpy(zero_copy_only=False)).tolist()
    return positions


def expanded_size(column: "pa.Array") -> int:
    """The bytes of a column when every text of its dictionaries is written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        texts = column.dictionary
        if not _has_length(texts.type):
            return len(column) * 16
        lengths = pc.take(pc.binary_length(texts), column.indices)
        return (pc.sum(lengths).as_py() or 0) + 4 * len(column)
    if pa.types.is_struct(kind):
        return sum(expanded_size(each) for each in column.flatten())
    if pa.types.is_map(kind):
        first, last = column.offsets[0].as_py(), column.offsets[-1].as_py()
        keys, items = (
            column.keys.slice(first, last - first),
            column.items.slice(first, last - first),
        )
        return expanded_size(keys) + expanded_size(items) + 4 * len(column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return expanded_size(column.flatten()) + 8 * len(column)
    return int(column.nbytes)


def _has_length(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_large_binary(kind)
    )
