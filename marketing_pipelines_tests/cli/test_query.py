"""`query`: everything an analyst may ask, and nothing that writes or reads elsewhere."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.querying import ask
from marketing_pipelines_tests.cli.console import bytes_of, call_here, refusal_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import event

WRITES = [
    "delete from analytics.event_aggregates",
    "update analytics.event_aggregates set event_count = 0",
    "insert into analytics.lake_hours values (now(), 1, '', now())",
    "truncate analytics.event_aggregates",
    "drop table analytics.event_aggregates",
    "create table analytics.mine (a int)",
    "create temporary table mine (a int)",
    "copy analytics.event_aggregates to stdout",
    "copy (select 1) to '{folder}/stolen.csv'",
    "copy (select 1) to program 'touch {folder}/stolen.csv'",
    "set default_transaction_read_only = off",
    "set role marketing",
    "reset role",
    "begin",
    "commit",
    "vacuum",
    "call analytics.ensure_activity_month('2026-01-01')",
    "do $$ begin null; end $$",
    "select 1; select 2",
    "select 1; delete from analytics.event_aggregates",
    "commit; delete from analytics.event_aggregates",
    "with gone as (delete from analytics.event_aggregates returning *) select * from gone",
    "explain analyze delete from analytics.event_aggregates",
    "select * into analytics.mine from analytics.event_aggregates",
    "select analytics.ensure_activity_month('2031-01-01')",
    "select nextval('analytics.contact_activity_id_seq')",
    "select setval('analytics.contact_activity_id_seq', 1)",
    "select set_config('default_transaction_read_only', 'off', false),"
    " (select analytics.ensure_activity_month('2031-01-01'))",
    "select pg_advisory_lock(1), lo_create(1)",
    "select pg_read_file('/etc/passwd')",
    "select pg_ls_dir('/')",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'marketing'",
    "select dblink_exec('dbname=x', 'delete from analytics.event_aggregates')",
    "select * from crm.contacts",
    "select * from crm.contacts",
    "select config from lifecycle.steps",
    "select * from ops.audit_log",
    "select * from ops.installation for update",
    "select query_to_xml('select * from crm.contacts', true, true, '')",
    "",
    ";",
    "this is no sql",
]
LAKE_WRITES = [
    "delete from lake.contact_activity",
    "update lake.contact_activity set event_type = 'x'",
    "insert into lake.contact_activity select * from lake.contact_activity",
    "drop view lake.contact_activity",
    "create table mine as from lake.contact_activity",
    "create or replace view lake.contact_activity as select 1",
    "copy lake.contact_activity to '{folder}/stolen.parquet'",
    "copy (select 1 from lake.contact_activity) to '{lake_file}'",
    "copy lake.contact_activity from '{lake_file}'",
    "export database '{folder}/lake.'",
    "install httpfs; from lake.contact_activity",
    "load httpfs; select 1 from lake.contact_activity",
    "attach '{folder}/lake.db' as other",
    "attach '{folder}/other.db'; from lake.contact_activity",
    "set enable_external_access = true; from lake.contact_activity",
    "set lock_configuration = false -- lake.contact_activity",
    "pragma enable_profiling -- lake.",
    "reset memory_limit -- lake.",
    "call pragma_version() -- lake.",
    "checkpoint -- lake.",
    "use lake. -- lake.contact_activity",
    "select 1; from lake.contact_activity",
    "with gone as (delete from lake.contact_activity returning *) from gone",
    "explain analyze insert into lake.contact_activity from lake.contact_activity",
    "select * from read_csv('{secret}'), lake.contact_activity",
    "select * from read_csv_auto('{secret}'), lake.contact_activity",
    "select * from read_text('{secret}'), lake.contact_activity",
    "select * from read_blob('{secret}'), lake.contact_activity",
    "select * from read_parquet('{lake_file}'), lake.contact_activity",
    "select * from read_json('{secret}'), lake.contact_activity",
    "select * from glob('/*'), lake.contact_activity",
    "select * from '{secret}', lake.contact_activity",
    'select * from "{secret}", lake.contact_activity',
    "select * from '{lake_file}' -- lake.",
    "select * from parquet_metadata('{lake_file}'), lake.contact_activity",
    "select * from parquet_scan('{lake_file}'), lake.contact_activity",
    "select * from sniff_csv('{secret}'), lake.contact_activity",
    "select * from crm.contacts, lake.contact_activity",
    "select * from crm.contacts, lake.contact_activity",
    "select * from ops.installation join lake.contact_activity on true",
    "select * from postgres_query('dbname=x', 'select 1'), lake.contact_activity",
    "select getenv('HOME'), 1 from lake.contact_activity",
    "select * from duckdb_secrets(), lake.contact_activity where 1 = 'x'",
    "select no_such_column from lake.contact_activity",
]


@pytest.fixture(scope="module")
def filled(
    shared_installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """Three events, exported and counted; nothing that is asked changes them."""
    fill(shared_installation, tmp_path_factory.mktemp("filled"))
    return shared_installation


def fill(installation: Installation, folder: Path) -> None:
    rows = [
        event(1, "2026-03-01T10:15:00Z"),
        event(2, "2026-03-01T10:45:00.5Z", contact_id="c2", properties={"a": [1, {"b": None}]}),
        event(3, "2026-03-02T00:00:00Z", event_type="clicked"),
    ]
    installation.load_events(folder, rows)
    installation.run("analytics/event_aggregates", "2026-03-01", "2026-03-02")


def state(installation: Installation) -> list[object]:
    """Everything a statement could have changed."""
    lake = Path(installation.settings.effective_lake_url)
    files = sorted(path for path in lake.rglob("*") if path.is_file())
    tables = installation.rows("select schemaname, relname from pg_stat_user_tables order by 1, 2")
    return [
        installation.fingerprints(),
        installation.fingerprint("contact_activity"),
        installation.rows("select last_value from analytics.contact_activity_id_seq"),
        tables,
        [(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files],
    ]


def ask_for_all(installation: Installation, statement: str) -> tuple[list[str], list[tuple]]:
    with contextmanager(ask)(installation.settings, statement) as answer:
        return answer.columns, [tuple(row) for row in answer.rows]


def test_whatever_would_write_or_read_elsewhere_is_refused(
    filled: Installation, tmp_path: Path, subtests_failures: list[str]
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    lake_file = next(Path(filled.settings.effective_lake_url).rglob("events.parquet"))
    before = state(filled)
    for template in [*WRITES, *LAKE_WRITES]:
        statement = template.format(folder=tmp_path, secret=secret, lake_file=lake_file)
        try:
            answer = ask_for_all(filled, statement)
        except BadInputError:
            continue
        except Exception as error:
            subtests_failures.append(f"{statement}: {type(error).__name__}: {error}")
        else:
            subtests_failures.append(f"{statement}: answered {answer}")
    assert state(filled) == before
    assert list(tmp_path.glob("stolen*")) == []


@pytest.fixture
def subtests_failures() -> Iterator[list[str]]:
    """Collects what was not refused, to say all of it at once."""
    found: list[str] = []
    yield found
    assert found == [], "\n".join(["", *found])


@pytest.mark.parametrize(
    "statement",
    [
        "delete from analytics.event_aggregates",
        "select nextval('analytics.contact_activity_id_seq')",
        "select * from crm.contacts, lake.contact_activity",
        "select * from ops.installation, lake.contact_activity",
        "select * from read_text('/etc/hostname'), lake.contact_activity",
    ],
)
def test_a_refusal_is_one_sentence(
    filled: Installation, capsys: pytest.CaptureFixture[str], statement: str
) -> None:
    sentence = refusal_here(capsys, "query", statement)
    assert sentence.startswith("The query, one statement that only reads, was refused: ")


@pytest.mark.parametrize(
    ("statement", "end"),
    [
        (
            "select id, config from lifecycle.steps",
            "; of lifecycle.steps analysts may not read config.",
        ),
        (
            'select s."config" from lifecycle.Steps s',
            "; of lifecycle.steps analysts may not read config.",
        ),
        (
            "select * from lifecycle.steps",
            "; of lifecycle.steps analysts may not read CLOSED.",
        ),
        (
            "select s.* from lifecycle.steps s, lake.contact_activity",
            "; of lifecycle.steps analysts may not read CLOSED.",
        ),
        ("select phone from crm.contacts", "; analysts may read no column of crm.contacts."),
        ("select pg_notify('steps', name) from lifecycle.steps", "function pg_notify."),
    ],
)
def test_a_refused_permission_names_the_table_and_the_columns(
    filled: Installation, capsys: pytest.CaptureFixture[str], statement: str, end: str
) -> None:
    [(closed,)] = filled.rows(
        "select string_agg(attname, ', ' order by attnum) from pg_attribute"
        " where attrelid = 'lifecycle.steps'::regclass and attnum > 0 and not attisdropped"
        " and not has_column_privilege('marketing_reader', attrelid, attnum, 'select')"
    )
    assert 2 <= len(closed.split(", ")) <= 10
    sentence = refusal_here(capsys, "query", statement)
    assert "permission denied for" in sentence
    assert sentence.strip().endswith(end.replace("CLOSED", closed))


@pytest.mark.parametrize("relation", ["analytics.daily_events", "lake.contact_activity"])
def test_columns_of_equal_names_are_told_apart(filled: Installation, relation: str) -> None:
    done = call_here(
        "query", f"select 1 as n, 2 as n, 3 as n_2 from {relation} limit 1", "--format=json"
    )
    assert json.loads(done.stdout) == [{"n": 1, "n_2": 2, "n_2_2": 3}]


def test_lake_and_tables_can_be_joined(filled: Installation) -> None:
    columns, rows = ask_for_all(
        filled,
        "select o.external_id, a.event_type, count(*) as events, max(d.event_count) as counted"
        " from lake.contact_activity a"
        " join analytics.organizations o on o.id = a.organization_id"
        " join analytics.daily_events d on d.event_type = a.event_type"
        "  and d.organization_id = a.organization_id and d.date = cast(a.dt as date)"
        " group by all order by all",
    )
    assert columns == ["external_id", "event_type", "events", "counted"]
    assert rows == [("acme", "clicked", 1, 1), ("acme", "opened", 2, 2)]


def test_the_lake_knows_its_days_and_hours(filled: Installation) -> None:
    _, rows = ask_for_all(
        filled, "select dt, hr, count(*) from lake.contact_activity group by all order by all"
    )
    assert rows == [("2026-03-01", "10", 2), ("2026-03-02", "00", 1)]


def test_a_statement_may_end_with_a_semicolon_or_a_comment(filled: Installation) -> None:
    assert ask_for_all(filled, "select 1 as one;") == (["one"], [(1,)])
    assert ask_for_all(filled, "select 1 as one -- the first")[1] == [(1,)]
    assert ask_for_all(filled, "select count(*) as n from lake.contact_activity;")[1] == [(3,)]


def test_the_word_lake_in_a_text_is_no_obstacle(filled: Installation) -> None:
    _, rows = ask_for_all(filled, "select count(*) from analytics.daily_events where 'lake.' <> ''")
    assert rows == [(2,)]


def test_without_any_exported_hour_the_lake_is_empty(installation: Installation) -> None:
    assert ask_for_all(installation, "select count(*) from lake.contact_activity")[1] == [(0,)]


@pytest.mark.parametrize("relation", ["analytics.contact_activity", "lake.contact_activity"])
def test_instants_print_in_utc_in_every_format(filled: Installation, relation: str) -> None:
    sql = f"select event_id, occurred_at from {relation} where event_id = 'e2'"
    expected = "2026-03-01T10:45:00.500000Z"
    zone = {"PGTZ": "Asia/Kolkata", "TZ": "Asia/Kolkata"}
    printed = call_here("query", sql, **zone)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout.split() == ["event_id", "occurred_at", "e2", expected]
    rows = list(
        csv.DictReader(io.StringIO(call_here("query", sql, "--format", "csv", **zone).stdout))
    )
    assert rows == [{"event_id": "e2", "occurred_at": expected}]
    rows = json.loads(call_here("query", sql, "--format", "json", **zone).stdout)
    assert rows == [{"event_id": "e2", "occurred_at": expected}]


def test_parquet_keeps_types(filled: Installation) -> None:

    sql = (
        "select organization_id, event_type, date, event_count, null as nothing"
        " from analytics.daily_events order by event_type"
    )
    table = pq.read_table(io.BytesIO(bytes_of("query", sql, "--format", "parquet")))
    assert [str(field.type) for field in table.schema][:4] == [
        "int64",
        "string",
        "date32[day]",
        "int64",
    ]
    assert table["event_type"].to_pylist() == ["clicked", "opened"]
    assert table["event_count"].to_pylist() == [1, 2]


def test_json_and_csv_keep_objects_and_nothing(filled: Installation) -> None:
    sql = (
        "select properties, source_type, 0.1::float8 as tenth, null::text as nothing"
        " from analytics.contact_activity where event_id = 'e2'"
    )
    [row] = json.loads(call_here("query", sql, "--format", "json").stdout)
    assert row == {
        "properties": {"a": [1, {"b": None}]},
        "source_type": "campaign",
        "tenth": 0.1,
        "nothing": None,
    }
    [line] = csv.DictReader(io.StringIO(call_here("query", sql, "--format", "csv").stdout))
    assert json.loads(line["properties"]) == row["properties"]
    assert (line["tenth"], line["nothing"]) == ("0.1", "")


def test_an_answer_without_rows_keeps_its_columns(filled: Installation) -> None:
    sql = "select event_type, event_count from analytics.daily_events where false"
    assert call_here("query", sql, "--format", "csv").stdout == "event_type,event_count\n"
    assert json.loads(call_here("query", sql, "--format", "json").stdout) == []
