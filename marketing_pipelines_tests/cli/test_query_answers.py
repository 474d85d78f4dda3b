"""`query`: the answer in each format is what was stored, to the last digit."""

import io
import json
import os
import pty
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketing_pipelines_tests.cli.console import bytes_of, call, environment, printed_here
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import event

LONG = "1234567890123456789.000000000000000000010"
NUMBERS = (
    "select 'NaN'::float8 as nan, 'Infinity'::float8 as most, '-Infinity'::numeric as least,"
    f" {LONG}::numeric as long, 0.00000000::numeric as nothing, 12345678.25::float8 as float,"
    " '{\"a\": [0.10000000000000000000001, 1e400]}'::jsonb as object, '\\x00ff'::bytea as bytes"
)


@pytest.fixture(scope="module")
def filled(
    shared_installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    folder = tmp_path_factory.mktemp("filled")
    shared_installation.load_events(folder, [event(1, "2026-03-01T10:15:00Z")])
    shared_installation.run("analytics/contact_activity", "2026-03-01-10:00")
    return shared_installation


def strictly(text: str) -> Any:
    """Reads JSON as the standard has it; numbers as they are written."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse, parse_float=str, parse_int=str)


def parquet(sql: str) -> pa.Table:
    return pq.read_table(io.BytesIO(bytes_of("query", sql, "--format", "parquet")))


def on_a_terminal(*arguments: str, columns: int) -> str:
    """The output of the command on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    with Forked(
        "marketing_pipelines",
        *arguments,
        env=environment({"COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}),
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:
            pass  # a terminal whose program has ended
        os.close(ours)
        assert process.wait(60) == 0, shown
    return shown.decode()


def test_json_is_json_and_keeps_every_digit(
    filled: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert strictly(printed_here(capsys, "query", NUMBERS, "--format", "json")) == [
        {
            "nan": "NaN",
            "most": "Infinity",
            "least": "-Infinity",
            "long": LONG,
            "nothing": "0.00000000",
            "float": "12345678.25",
            "object": {"a": ["0.10000000000000000000001", "1" + "0" * 400]},
            "bytes": "\\x00ff",
        }
    ]


def test_json_of_the_lake_is_json_too(
    filled: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    sql = (
        "select 'nan'::double as nan, 1.50::decimal(5, 2) as decimal, [1.5, null] as list,"
        " '-inf'::float as least from lake.contact_activity"
    )
    assert strictly(printed_here(capsys, "query", sql, "--format", "json")) == [
        {"nan": "NaN", "decimal": "1.50", "list": ["1.5", None], "least": "-Infinity"}
    ]


def test_csv_and_a_pipe_keep_every_digit(
    filled: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    row = (
        f'NaN,Infinity,-Infinity,{LONG},0.00000000,12345678.25,"{{""a"": '
        f'[0.10000000000000000000001, 1{"0" * 400}]}}",\\x00ff'
    )
    assert printed_here(capsys, "query", NUMBERS, "--format", "csv").splitlines()[1] == row
    sql = "select 12345678.25::float8 as f, 1234567.0::float8 as whole"
    assert printed_here(capsys, "query", sql).split() == ["f", "whole", "12345678.25", "1234567"]


def test_parquet_keeps_what_no_single_type_holds_as_text(filled: Installation) -> None:
    sql = (
        "select * from (values (1.50, '{\"a\": 1}'::jsonb, 'NaN'::float8, array[1, 2]),"
        f" ({LONG}, '{{\"a\": \"x\"}}', 2, null), ('NaN', 'null', null, array[3]))"
        " as v (n, o, f, l)"
    )
    table = parquet(sql)
    assert table["n"].to_pylist() == ["1.50", LONG, "NaN"]
    assert table["o"].to_pylist() == ['{"a": 1}', '{"a": "x"}', None]
    assert (str(table["f"].type), str(table["l"].type)) == ("double", "list<element: int64>")
    [exact] = parquet(f"select {LONG}::numeric(38, 19) as n")["n"].to_pylist()
    assert (type(exact), str(exact)) == (Decimal, "1234567890123456789.0000000000000000000")


@pytest.mark.parametrize("columns", [120, 30])
def test_numbers_on_a_terminal_keep_their_digits(filled: Installation, columns: int) -> None:
    sql = f"select 'a text of some words' as t, 12345678.25::float8 as f, {LONG}::numeric as n"
    shown = on_a_terminal("query", sql, columns=columns)
    assert "12345678.25" in shown
    assert LONG in shown
    assert "…" not in shown


@pytest.mark.parametrize(
    ("statement", "answer"),
    [
        ("-- how many?\nselect count(*) as n from analytics.organizations", "1"),
        ("--all = nothing\nselect 2 as n; -- done", "2"),
        ("/* one */ select 3 as n;", "3"),
        ("-- the lake\nselect count(*) as n from lake.contact_activity", "1"),
        ("-- lake.contact_activity\nselect '{1,2}'::int[] && '{2}' as n", "true"),
        ("select /* lake.contact_activity */ version() ~ 'PostgreSQL' as n", "true"),
        ("select 'lake.contact_activity' ~ 'ke.c' and version() ~ 'Post' as n", "true"),
        ("select $$lake.contact_activity$$ ~ 'ké' or version() ~ 'Post' as n", "true"),
        ("select lake.id > 0 as n from analytics.organizations as lake", "true"),
        ("select 'é', count(*) as n from \"lake\" . /* its */ Contact_Activity", "1"),
        ("from LAKE.contact_activity select list_sum([count(*), 2]) as n", "3"),
    ],
)
def test_comments_and_texts_do_not_decide_where_a_statement_runs(
    filled: Installation, capsys: pytest.CaptureFixture[str], statement: str, answer: str
) -> None:
    printed = printed_here(capsys, "query", statement, "--format", "csv")
    assert printed.splitlines()[-1].split(",")[-1] == answer


def test_a_misspelt_option_is_wrong_usage(filled: Installation) -> None:
    done = call("query", "select 1", "--fromat", "json")
    assert (done.returncode, done.stdout) == (2, "")


def test_an_attribute_in_a_table_is_json(
    filled: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    sql = "select '{\"a\": [1, null, true]}'::jsonb as object"
    assert printed_here(capsys, "query", sql).splitlines()[1] == '{"a": [1, null, true]}'
