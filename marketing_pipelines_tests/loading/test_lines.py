"""Chunks of whole lines, however long the lines are."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketing_pipelines.loading.lines import MAX_LINE_LENGTH, LineSource


def chunks_of(data: bytes, chunk_bytes: int = 1) -> list[tuple[bytes, int]]:
    source = LineSource(io.BytesIO(data), chunk_bytes)
    chunks = []
    while (chunk := source.next_chunk()) is not None:
        chunks.append((chunk.data, chunk.first_line))
    return chunks


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), min_size=2))
def test_chunks_put_together_are_the_file_and_know_their_lines(lines: list[bytes]) -> None:
    data = b"x" + b"\n".join(lines)
    chunks = chunks_of(data)
    assert b"".join(text for text, _ in chunks) == data
    line = 1
    for text, first_line in chunks:
        assert first_line == line
        line += text.count(b"\n")


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_is_skipped(start: bytes) -> None:
    assert chunks_of(start + b"a\nb", 100) == [(b"a\nb", 1)]


def test_a_line_over_the_limit_is_cut_but_still_over_the_limit() -> None:
    data = b"a\n" + b"x" * (3 * MAX_LINE_LENGTH) + b"\nb\n"
    text = b"".join(text for text, _ in chunks_of(data))
    assert text == b"a\n" + b"x" * (MAX_LINE_LENGTH + 1) + b"\nb\n"


def test_what_is_given_back_comes_again_with_the_next_lines() -> None:
    source = LineSource(io.BytesIO(b"a\nb\n" + b"c\n" * MAX_LINE_LENGTH), 1)
    first = source.next_chunk()
    assert first is not None
    source.unread(first.data[2:])
    second = source.next_chunk()
    assert second is not None
    assert second.first_line == 2
    assert second.data.startswith(b"b\nc\n")
    assert len(second.data) > len(first.data)


def test_an_empty_stream_has_no_lines() -> None:
    assert chunks_of(b"") == []


def test_carriage_returns_end_lines_where_no_line_feed_does() -> None:
    assert chunks_of(b"a\rb\rc", 100) == [(b"a\nb\nc", 1)]
    assert chunks_of(b"a\rb\nc", 100) == [(b"a\rb\nc", 1)]
