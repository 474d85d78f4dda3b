"""Estimates the memory that rows of a Parquet file need, from the headers of its pages.

The footer says only how large a column is as stored. A dictionary lets a kilobyte stand for
gigabytes, and so do compression and runs of equal values; the page headers tell how many values a
page has, and its dictionary how long they can be.
"""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_LARGEST_HEADER = 16 << 20
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_DICTIONARY_CODED = (2, 8)
_PREFIX_CODED = 7
_POINTER = 8
_SHORT = 256
_LENGTH = struct.Struct("<I")
_UNCOMPRESSED = "UNCOMPRESSED"


class Weight(NamedTuple):
    """Upper bounds for a row group, in bytes.

    Args:
        pages: of the pages that are open at once, one a column.
        row: of one row, lists left out.
        lists: of all lists; texts that stand in a dictionary count as numbers.
    """

    pages: int
    row: int
    lists: int


class _Page(NamedTuple):
    kind: int
    size: int
    stored: int
    values: int
    encoding: int
    start: int


def weigh(stream: BinaryIO, file: "pq.ParquetFile", group: int) -> Weight:
    """The weight of one row group of an open file.

    Args:
        stream: the bytes of the same file.

    Raises:
        ValueError: the pages are not what Parquet prescribes.
    """
    metadata = file.metadata.row_group(group)
    pages = row = lists = 0
    for number in range(metadata.num_columns):
        column, chunk = file.schema.column(number), metadata.column(number)
        found = list(_pages(stream, chunk))
        pages += max((page.size for page in found), default=0)
        if column.max_repetition_level:
            lists += sum(page.values * _unit(column, page, 0) for page in found)
            lists += sum(page.values * _POINTER for page in found)
        else:
            longest = _longest_entry(stream, column, chunk, found)
            row += max((_unit(column, page, longest) for page in found), default=0)
    return Weight(pages, row, lists)


def _unit(column: Any, page: _Page, longest: int) -> int:
    """Bytes of one value of a page, rounded up, on average or at most.

    Args:
        longest: how long a text of the column's dictionary is at most.
    """
    if page.kind == _DICTIONARY:
        return 0
    if column.physical_type != "BYTE_ARRAY":
        return max(int(column.length), _POINTER)
    if page.encoding in _DICTIONARY_CODED:
        return longest + _POINTER
    if page.encoding == _PREFIX_CODED:
        return page.size
    return -(-page.size // max(page.values, 1)) + _POINTER


def _longest_entry(stream: BinaryIO, column: Any, chunk: Any, pages: list[_Page]) -> int:
    """The bytes of the longest text in a column's dictionary."""
    import pyarrow as pa

    page = next((page for page in pages if page.kind == _DICTIONARY), None)
    if page is None or column.physical_type != "BYTE_ARRAY":
        return 0
    if page.size <= _SHORT:
        return page.size
    stream.seek(page.start)
    data = stream.read(page.stored)
    if chunk.compression != _UNCOMPRESSED:
        codec = {"LZ4": "lz4_raw"}.get(chunk.compression, chunk.compression.lower())
        try:
            data = pa.decompress(data, page.size, codec=codec, asbytes=True)
        except (pa.ArrowException, OSError, ValueError):
            return page.size
    longest, at, end, length_at = 0, 0, len(data) - 3, _LENGTH.unpack_from
    while at < end:
        length = length_at(data, at)[0]
        if length > longest:
            longest = length
        at += 4 + length
    return longest


def _pages(stream: BinaryIO, chunk: Any) -> Iterator[_Page]:
    """The pages of a column chunk, in the order in which a reader meets them."""
    at = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < (chunk.dictionary_page_offset or 0) < at:
        at = chunk.dictionary_page_offset
    end, values = at + chunk.total_compressed_size, 0
    while at < end and values < chunk.num_values:
        header, size = _header(stream, at)
        kind, uncompressed, stored = (header.get(number, 0) for number in (1, 2, 3))
        if uncompressed < 0 or stored < 0:
            raise ValueError("a page has a negative size")
        about = header.get({_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}.get(kind, 0), {})
        encoding = about.get(4 if kind == _DATA_V2 else 2, 0)
        yield _Page(kind, uncompressed, stored, about.get(1, 0), encoding, at + size)
        at += size + stored
        if kind != _DICTIONARY:
            values += about.get(1, 0)


def _header(stream: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    """A page header and how many bytes it takes; it may hold long texts as statistics."""
    length = 256
    while True:
        stream.seek(at)
        data = stream.read(length)
        try:
            return _Compact(data).header()
        except IndexError:
            if len(data) < length or length >= _LARGEST_HEADER:
                raise ValueError("a page header is cut off") from None
            length *= 16


class _Compact:
    """Reads a struct of Thrift's compact protocol; keeps its numbers and structs."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def header(self) -> tuple[dict[int, Any], int]:
        """The fields by number, and the bytes read."""
        return self._struct(), self._at

    def _struct(self) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while byte := self._byte():
            number = number + (byte >> 4) if byte >> 4 else self._integer()
            fields[number] = self._value(byte & 15)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 7:
            return self._skip(8)
        if kind == 8:
            return self._skip(self._varint())
        if kind in (9, 10):
            byte = self._byte()
            size = byte >> 4 if byte >> 4 < 15 else self._varint()
            return [self._value(byte & 15) for _ in range(min(size, len(self._data) + 1))]
        if kind == 12:
            return self._struct()
        raise ValueError("a page header is not valid")

    def _skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        byte = self._data[self._at]
        self._at += 1
        return byte

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
