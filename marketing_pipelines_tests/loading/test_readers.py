"""Files of every format, and one sentence for each file that cannot be used."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading.batches import BATCH_ROWS
from marketing_pipelines.loading.readers import open_reader
from marketing_pipelines_tests.scale import SOAK, soak_only


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
        ("f.csv", ",".join(f"c{n}" for n in range(2001)), "f.csv has 2,001 columns, more than"),
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


@pytest.mark.parametrize(
    ("quote", "compressed"),
    [
        pytest.param(b'"', True, marks=pytest.mark.soak),
        pytest.param(b"", True, marks=[pytest.mark.soak, soak_only]),
        pytest.param(b"", False, marks=[pytest.mark.soak, soak_only]),
        pytest.param(b'"', False, marks=[pytest.mark.soak, soak_only]),
    ],
)
def test_memory_stays_flat_on_a_line_that_never_ends(
    tmp_path: Path, quote: bytes, compressed: bool
) -> None:
    small = write(tmp_path / "small.csv", b"a,b\n" + b"1,2\n" * 10)
    large = tmp_path / "large.csv"
    with gzip.open(large, "wb", 1) if compressed else large.open("wb") as file:
        file.write(b"a,b\n1,2\n" + quote)
        for _ in range(128 if SOAK else 64):
            file.write(b"x" * (1 << 20))
        file.write(b"\n3,4\n")
    done = subprocess.run(
        [sys.executable, "-c", LONG_LINE, str(small), str(large)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) < 40


UNPACKED = """
import sys
from pathlib import Path
from marketing_pipelines.loading.checker import Checker
from marketing_pipelines.loading.columns import ColumnPicker
from marketing_pipelines.loading.readers import open_reader
small, large = (Path(name) for name in sys.argv[1:])
def read(path):
    reader, checker, rows, rejects = open_reader(path, ()), Checker(), 0, []
    picker = ColumnPicker(reader, ("a",), (), checker)
    for batch in reader.batches():
        table, refused = (batch.table, []) if path.suffix == ".parquet" else picker.pick(batch)
        rows += table.num_rows
        rejects += [reject.reason for reject in [*batch.rejects, *refused]]
    return rows, rejects
def peak():  # of this program alone: ru_maxrss begins with what the parent had
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024
read(small)
before = peak()
rows, rejects = read(large)
print(rows, peak() - before, *set(rejects), sep="|")
"""


def read_apart(small: Path, large: Path) -> tuple[int, int, list[str]]:
    """Rows read in a process of its own, mebibytes beyond those of a small file, reasons."""
    done = subprocess.run(
        [sys.executable, "-c", UNPACKED, str(small), str(large)],
        check=True,
        capture_output=True,
        text=True,
    )
    rows, memory, *reasons = done.stdout.strip().split("|")
    return int(rows), int(memory), reasons


def packed(shape: str, rows: int, text: int) -> pa.Table:
    """A table that a Parquet file of some hundred kilobytes holds."""
    long = pa.array(["x" * text])
    same = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), long)
    ids = pa.array([f"e{number}" for number in range(rows)])
    if shape == "a dictionary":
        return pa.table({"a": ids, "b": same})
    if shape == "many such columns":
        return pa.table({"a": ids[:200]} | {f"b{n}": same[:200] for n in range(15)})
    if shape == "lists":
        return pa.table({"a": ids, "b": pa.array([["z" * (text // 100)] * 100] * rows)})
    one_in = pa.array([b"y" * text if number > rows - 500 else b"" for number in range(rows * 4)])
    return pa.table({"a": one_in})


@pytest.mark.parametrize(
    "shape",
    [
        "a dictionary",
        pytest.param("lists", marks=[pytest.mark.soak, soak_only]),
        pytest.param("many such columns", marks=[pytest.mark.soak, soak_only]),
        pytest.param("few long texts behind short ones", marks=[pytest.mark.soak, soak_only]),
    ],
)
def test_memory_is_bound_by_unpacked_rows(tmp_path: Path, shape: str) -> None:
    """Some 400 MB, unpacked, in files of less than 2 MB."""
    table = packed(shape, 3_000, 130_000)
    pq.write_table(table, tmp_path / "large.parquet", compression="zstd")
    pq.write_table(table.slice(0, 10), tmp_path / "small.parquet")
    assert (tmp_path / "large.parquet").stat().st_size < 2_000_000
    rows, memory, _ = read_apart(tmp_path / "small.parquet", tmp_path / "large.parquet")
    assert rows == table.num_rows
    assert memory < 250


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        (lambda: ["x" * (17 << 20)], "one row of row group 1 can take 17 MiB of memory"),
        (
            lambda: pa.ListArray.from_arrays([0, 40 << 20], pa.repeat(0, 40 << 20)),
            "the lists of row group 1 can take 640 MiB of memory",
        ),
    ],
    ids=["a text", "a list"],
)
def test_a_parquet_file_with_a_row_beyond_memory_is_refused(
    tmp_path: Path, column: Callable[[], Any], sentence: str
) -> None:
    pq.write_table(pa.table({"b": column()}), tmp_path / "f.parquet", compression="zstd")
    with pytest.raises(BadInputError, match=sentence):
        open_reader(tmp_path / "f.parquet", ())


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "lz4", "zstd", "brotli"])
def test_pages_of_every_kind_are_read(
    tmp_path: Path, encoding: str, version: str, codec: str
) -> None:
    texts = [f"text {number}" for number in range(3_000)]
    coded = pa.table({"a": texts, "b": ["x", None, "y"] * 1_000, "c": [[1], None, []] * 1_000})
    pq.write_table(
        coded,
        tmp_path / "f.parquet",
        compression=codec,
        use_dictionary=["b"],
        column_encoding={"a": encoding},
        data_page_version=version,
        data_page_size=1_000,
        row_group_size=1_100,
    )
    rows = rows_of(tmp_path / "f.parquet")
    assert [row["c0"] for row in rows] == texts
    assert [row["c1"] for row in rows[:3]] == ["x", None, "y"]
    assert [row["c2"] for row in rows[-3:]] == [[1], None, []]


MANY_KEYS = json.dumps({f"k{number}": number for number in range(50_000)})
DEEP_LISTS = '{"a": ' + "[" * 500_000 + "]" * 500_000 + "}"
DEEP_OBJECTS = '{"a": ' + '{"b":' * 150_000 + "1" + "}" * 150_001
TOO_MANY, TOO_DEEP = "has 50000 keys, more than 2000", "is nested more than 1,000 deep"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([MANY_KEYS, DEEP_LISTS], {TOO_MANY, TOO_DEEP}),
        pytest.param([DEEP_OBJECTS], {TOO_DEEP}, marks=[pytest.mark.soak, soak_only]),
    ],
    ids=["keys and lists", "objects"],
)
def test_json_beyond_all_measure_is_refused_alone(
    tmp_path: Path, lines: list[str], expected: set[str]
) -> None:
    small = write(tmp_path / "small.jsonl", '{"a": "1"}\n')
    large = write(tmp_path / "large.jsonl", "\n".join(['{"a": "[[["}', *lines, '{"a": "3"}', ""]))
    rows, memory, reasons = read_apart(small, large)
    assert (rows, set(reasons)) == (2, expected)
    assert memory < 150


@pytest.mark.soak
@soak_only
def test_many_keys_beside_long_texts_cost_no_more_than_the_line(tmp_path: Path) -> None:
    small = write(tmp_path / "small.jsonl", '{"a": "1"}\n')
    row = json.dumps({f"k{number}": "x" * 100 for number in range(200)})
    large = write(tmp_path / "large.jsonl", f"{row}\n" * 2_000)
    rows, memory, reasons = read_apart(small, large)
    assert (rows, reasons) == (2_000, [])
    assert memory < 350


@pytest.mark.soak
@soak_only
def test_long_names_of_empty_columns_are_no_memory(tmp_path: Path) -> None:
    small = write(tmp_path / "small.csv", "a,b\n1,2\n")
    names = ",".join(f"{number:0500}" for number in range(1_900))
    large = write(tmp_path / "large.csv", f"a,{names}\n" + ("1" + "," * 1_900 + "\n") * 60)
    rows, memory, _ = read_apart(small, large)
    assert rows == 60
    assert memory < 500
