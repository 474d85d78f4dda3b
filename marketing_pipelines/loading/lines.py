"""Whole lines out of a byte stream, in chunks of bounded size however long a line is."""

from typing import BinaryIO, NamedTuple

MAX_LINE_LENGTH = 1 << 20
CHUNK_BYTES = 5 << 20
_BLOCK_BYTES = 1 << 20
_UTF8_BOM = b"\xef\xbb\xbf"


class Chunk(NamedTuple):
    """Whole lines with their line ends; only the last chunk may lack the last line end.

    A line longer than `MAX_LINE_LENGTH` is cut; the rest is still longer than the limit, so that
    the reader sees that the line was too long.
    """

    data: bytes
    first_line: int
    last: bool


class LineSource:
    """Cuts a stream into whole lines, about `CHUNK_BYTES` + `MAX_LINE_LENGTH` a chunk at most.

    Args:
        stream: bytes, uncompressed; a byte order mark at the start is skipped. If the first block
            has carriage returns and no line feed, lines end with carriage returns.
    """

    def __init__(self, stream: BinaryIO, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._stream = stream
        self._chunk_bytes = chunk_bytes
        self._buffer = bytearray()
        self._line = 1
        self._skipping = False
        self._ended = False
        self._given_back = False
        self._begin()

    def _begin(self) -> None:
        block = self._stream.read(_BLOCK_BYTES)
        self._returns_only = b"\r" in block and b"\n" not in block
        self._take(block)
        while len(self._buffer) < len(_UTF8_BOM) and not self._ended:
            self._fill()
        if self._buffer.startswith(_UTF8_BOM):
            del self._buffer[: len(_UTF8_BOM)]

    def next_chunk(self) -> Chunk | None:
        """The next whole lines; None at the end of the stream."""
        cut = 0
        if self._given_back:
            self._given_back = False
            self._fill()
        while not self._ended:
            if len(self._buffer) >= self._chunk_bytes:
                cut = self._buffer.rfind(b"\n") + 1
                if cut:
                    break
            self._fill()
        if self._ended:
            cut = len(self._buffer)
        if cut == 0:
            return None
        data = bytes(memoryview(self._buffer)[:cut])
        del self._buffer[:cut]
        chunk = Chunk(data, self._line, self._ended and not self._buffer)
        self._line += data.count(b"\n")
        return chunk

    def unread(self, tail: bytes) -> None:
        """Gives back the end of the last chunk: it comes again, before the next chunk."""
        self._buffer[:0] = tail
        self._given_back = True
        self._line -= tail.count(b"\n")

    def _fill(self) -> None:
        self._take(self._stream.read(_BLOCK_BYTES))

    def _take(self, block: bytes) -> None:
        if self._returns_only:
            block = block.replace(b"\r", b"\n")
        if not block:
            self._ended = True
            return
        if self._skipping:
            end = block.find(b"\n")
            if end < 0:
                return
            block = block[end:]
            self._skipping = False
        self._buffer += block
        line_start = self._buffer.rfind(b"\n") + 1
        if len(self._buffer) - line_start > MAX_LINE_LENGTH + 1:
            del self._buffer[line_start + MAX_LINE_LENGTH + 1 :]
            self._skipping = True
