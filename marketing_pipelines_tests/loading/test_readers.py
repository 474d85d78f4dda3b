"""Files of every format, and one sentence for each file that cannot be used."""

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading.readers import BATCH_ROWS, open_reader


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def rows_of(path: Path, required: tuple[str, ...] = ("a",)) -> list[dict[str, Any]]:
    return [
        row for batch in open_reader(path, required).batches() for row in batch.table.to_pylist()
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("compressed", [True, False])
def test_csv_is_read_with_its_line_numbers(
    tmp_path: Path, line_end: str, mark: str, compressed: bool
) -> None:
    data = (mark + line_end.join(["a,b", "1,é", "", '"x, ""y""",', ""])).encode()
    path = write(tmp_path / "f.csv", gzip.compress(data) if compressed else data)
    assert rows_of(path) == [
        {"line": 2, "c0": "1", "c1": "é"},
        {"line": 4, "c0": 'x, "y"', "c1": None},
    ]


def test_json_lines_are_passed_on_as_text(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"a": "\xff"}\nx')
    batches = list(open_reader(path, ()).batches())
    assert [batch.table["line"].to_pylist() for batch in batches] == [[1, 5]]
    assert [tuple(reject) for reject in batches[0].rejects] == [
        (4, "", "the line is not valid UTF-8")
    ]


def test_parquet_rows_have_numbers_and_bad_text_is_refused(tmp_path: Path) -> None:
    bad = pa.array([b"x", b"\xff", None]).view(pa.string())
    other = pa.array(["k", "k", "l"]).dictionary_encode()
    pq.write_table(pa.table({"a": bad, "b": other}), tmp_path / "f.parquet")
    batches = list(open_reader(tmp_path / "f.parquet", ("a",)).batches())
    assert batches[0].table.to_pylist() == [
        {"line": 1, "c0": "x", "c1": "k"},
        {"line": 3, "c0": None, "c1": "l"},
    ]
    assert [tuple(reject) for reject in batches[0].rejects] == [(2, "a", "is not valid UTF-8")]


def test_batches_are_bounded_and_complete(tmp_path: Path) -> None:
    rows = 2 * BATCH_ROWS + 10
    path = write(tmp_path / "f.csv", "a\n" + "x\n" * rows)
    batches = list(open_reader(path, ("a",)).batches())
    assert max(batch.table.num_rows for batch in batches) == BATCH_ROWS
    lines = [line for batch in batches for line in batch.table["line"].to_pylist()]
    assert lines == list(range(2, rows + 2))
    assert batches[-1].position == path.stat().st_size


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("f.csv", "", "f.csv is empty."),
        ("f.csv", "\n\n", "f.csv is empty: a header with the column names is needed."),
        ("f.csv.gz", gzip.compress(b"", mtime=0), "f.csv.gz is empty: a header"),
        ("f.csv.gz", "a,b\n", "f.csv.gz is named .gz but is not gzip."),
        ("f.csv", "b;c\n1;2\n", "f.csv has no column a: its columns are b;c."),
        ("f.csv", "a,b,a\n", "f.csv: the header names the column 'a' twice."),
        ("f.csv", "a,,b\n", "f.csv: column 2 has no name in the header."),
        ("f.csv", "a,b\n".encode("utf-16"), "f.csv is not text in UTF-8"),
        ("f.csv", b"a,\xff\n", "f.csv: the header, line 1, is not UTF-8."),
        ("f.csv", 'a,"b\n', "f.csv: the header, line 1, is not valid CSV."),
        ("f.parquet", "PAR1xxxx", "f.parquet is not readable Parquet"),
    ],
)
def test_an_unusable_file_is_one_sentence(
    tmp_path: Path, name: str, data: bytes | str, sentence: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        open_reader(write(tmp_path / name, data), ("a",))
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(sentence)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"x\.csv does not exist"):
        open_reader(tmp_path / "x.csv", ())
    with pytest.raises(BadInputError, match="is a folder"):
        open_reader(tmp_path, ())


@pytest.mark.parametrize("damage", ["cut off", "damaged gzip"])
def test_damage_inside_a_compressed_file_is_one_sentence(tmp_path: Path, damage: str) -> None:
    lines = "\n".join(f"{number * 7919 % 1_000_003}" for number in range(200_000))
    data = bytearray(gzip.compress(f"a\n{lines}\n".encode()))
    if damage == "cut off":
        del data[-1000:]
    else:
        data[-5000:-4900] = bytes(100)
    path = write(tmp_path / "f.csv.gz", bytes(data))
    with pytest.raises(BadInputError, match=f"f.csv.gz is {damage}"):
        rows_of(path)


LONG_LINE = """
import resource, sys
from pathlib import Path
from marketing_pipelines.loading.readers import open_reader
small, large = (Path(name) for name in sys.argv[1:])
def read(path):
    rejects, lines = [], []
    for batch in open_reader(path, ("a",)).batches():
        rejects += [(reject.line, reject.reason) for reject in batch.rejects]
        lines += batch.table["line"].to_pylist()
    return lines, rejects
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
read(small)
before = peak()
assert read(large) == ([2, 4], [(3, "the line is longer than 1 MiB")]), read(large)
print(peak() - before)
"""


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_memory_stays_flat_on_a_line_that_never_ends(tmp_path: Path, quote: bytes) -> None:
    small = write(tmp_path / "small.csv", b"a,b\n" + b"1,2\n" * 10)
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.write(b"a,b\n1,2\n" + quote)
        for _ in range(128):
            file.write(b"x" * (1 << 20))
        file.write(b"\n3,4\n")
    done = subprocess.run(
        [sys.executable, "-c", LONG_LINE, str(small), str(large)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) < 40
