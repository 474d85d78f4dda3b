"""Lines become records, and a bad one never takes another with it."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketing_pipelines.loading.csv_records import split_records
from marketing_pipelines.loading.lines import MAX_LINE_LENGTH, Chunk

HEADER = ["a", "b", "c"]
GOOD = b"1,2,3\n"


def split(data: bytes, header: list[str] = HEADER) -> tuple[list[int], list[tuple[int, str, str]]]:
    records = split_records(Chunk(data, 1, True), header)
    assert records.unread == b""
    return records.lines.tolist(), [tuple(reject) for reject in records.rejects]


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        (b"1,2\n", "", "2 cells where the header has 3"),
        (b"1,2,3,4\n", "", "4 cells where the header has 3"),
        (b"1,\xff,3\n", "b", "is not valid UTF-8"),
        (b'1,"2,3\n', "", "the quote is never closed"),
        (b'1,"2"x,3\n', "", "text follows a closing quote"),
        (b"1,2\rx,3\n", "", "a carriage return stands outside quotes"),
        (b"1,2," + b"x" * MAX_LINE_LENGTH + b"\n", "", "the line is longer than 1 MiB"),
    ],
)
def test_a_bad_line_is_refused_alone(line: bytes, column: str, reason: str) -> None:
    lines, rejects = split(GOOD + line + GOOD + GOOD)
    assert lines == [1, 3, 4]
    assert rejects == [(2, column, reason)]


def test_a_forgotten_quote_does_not_swallow_lines_that_have_quotes() -> None:
    lines, rejects = split(b'1,"2,3\n1,"x",3\n1,2,"y ""z"""\n')
    assert lines == [2, 3]
    assert rejects == [(1, "", "text follows a closing quote")]


def test_a_forgotten_quote_is_given_up_after_a_mebibyte() -> None:
    data = b'1,"2,3\n' + GOOD * 400_000
    lines, rejects = split(data)
    assert len(lines) == 400_000
    assert rejects == [(1, "", "the quote is never closed")]


def test_a_record_may_run_over_lines_inside_quotes() -> None:
    records = split_records(Chunk(GOOD + b'1,"two\r\nlines","x"\r\n' + GOOD, 10, True), HEADER)
    assert records.lines.tolist() == [10, 11, 13]
    assert records.data.endswith(b'1,"two\r\nlines","x"\r\n' + GOOD)


def test_a_record_that_goes_on_in_the_next_chunk_is_given_back() -> None:
    records = split_records(Chunk(GOOD + b'1,"two\n', 1, False), HEADER)
    assert records.lines.tolist() == [1]
    assert records.unread == b'1,"two\n'


def test_blank_lines_are_no_records_and_no_rejects() -> None:
    assert split(b"\n" + GOOD + b"\r\n\n" + GOOD) == ([2, 5], [])


def test_the_last_line_needs_no_line_end() -> None:
    assert split(GOOD + b"1,2,3") == ([1, 2], [])


def test_a_single_column_is_a_table_too() -> None:
    assert split(b"x\n\n1,2\ny", ["a"]) == ([1, 4], [(3, "", "2 cells where the header has 1")])


def test_very_wide_files_are_read_line_by_line() -> None:
    header = [f"h{number}" for number in range(500)]
    line = b",".join(b"%d" % number for number in range(500)) + b"\n"
    assert split(line + b"1\n" + line, header) == (
        [1, 3],
        [(2, "", "1 cells where the header has 500")],
    )


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_whatever_the_csv_module_writes_is_read_whole(
    rows: list[tuple[str, str, str]], line_end: str
) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(rows)
    lines, rejects = split(text.getvalue().encode())
    assert rejects == []
    assert len(lines) == len(rows)


@given(st.binary(max_size=200))
def test_any_bytes_end_as_records_or_rejects_and_never_fail(data: bytes) -> None:
    lines, rejects = split(data)
    numbers = [*lines, *(reject[0] for reject in rejects)]
    assert len(set(numbers)) == len(numbers)
