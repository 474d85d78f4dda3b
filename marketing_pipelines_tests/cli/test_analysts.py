"""The role of the analysts: what it may read, and that it can do nothing beyond reading."""

import datetime as dt
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
import sqlalchemy as sa

from marketing_pipelines.failures import BadInputError, TimedOutError
from marketing_pipelines.querying import ask
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import database_url, libpq_uri, reader_url
from marketing_pipelines.stores.schema import (
    MIGRATION_LOCK,
    analysts_see_attributes,
    migrate,
)
from marketing_pipelines_tests.cli.console import printed_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import event
from marketing_pipelines_tests.waiting import until

ATTRIBUTES = "analytics.contact_attributes"
PROMISED = [
    "id",
    "organization_id",
    "external_id",
    "email",
    "lifecycle_stage",
    "lead_grade",
    "intent_score",
    "owner_id",
    "created_at",
]
# Volatile functions of PostgreSQL that every role may call, by why a reader may as well.
HARMLESS = {
    "reads what the role may read, or how the server stands": """
        amvalidate array_sample array_shuffle clock_timestamp current_query currtid2
        cursor_to_xml(schema)? gen_random_uuid lastval lo_(close|get|l?seek64|lseek|tell(64)?)
        loread pg_available_wal_summaries pg_(safe_snapshot_)?blocking_pids
        pg_(database_)?collation_actual_version pg_control_\\w+ pg_current_wal_\\w+ pg_\\w+_size
        pg_export_snapshot pg_get_\\w+ pg_is_\\w+ pg_isolation_test_session_is_blocked
        pg_jit_available pg_last_\\w+ pg_lock_status pg_notification_queue_usage
        pg_partition_(ancestors|tree) pg_prepared_xact pg_sequence_last_value pg_stat_get_\\w+
        pg_wal_summary_contents pg_xact_\\w+ query_to_xml\\w* random(_normal)? timeofday ts_rewrite
        ts_stat txid_status uuidv4 uuidv7
    """,
    "changes its own session at most, which the watchdog of `query` ends": """
        pg_sleep\\w* pg_stat_clear_snapshot pg_stat_force_next_flush set_config setseed
    """,
    "asks for a right that the role does not have": """
        binary_upgrade_\\w+ brin_\\w+ currval gin_clean_pending_list nextval
        pg_(clear|restore)_(attribute|relation)_stats pg_(copy|create|drop)_\\w*replication_slot
        pg_extension_config_dump pg_import_system_collations pg_logical_slot_\\w+ pg_nextoid
        pg_replication_slot_advance pg_stop_making_pinned_objects pg_sync_replication_slots setval
    """,
}


@pytest.fixture(scope="module")
def filled(
    shared_installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """Three contacts with attributes, and an event in the lake."""
    folder = tmp_path_factory.mktemp("filled")
    contacts = folder / "contacts.jsonl"
    rows = [
        {"external_id": "ann", "first_name": "Ann", "city": "Bern", "plan": {"seats": 2.50}},
        {"external_id": "bob", "last_name": "Boss", "city": None},
        {"external_id": "c1"},
    ]
    contacts.write_text("\n".join(json.dumps({"organization_id": "acme"} | row) for row in rows))
    shared_installation.load("contacts", contacts)
    shared_installation.load_events(folder, [event(1, "2026-03-01T10:15:00Z", contact_id="ann")])
    shared_installation.run("analytics/contact_activity", "2026-03-01-10:00")
    return shared_installation


@pytest.fixture
def reader(filled: Installation) -> Iterator[psycopg.Connection[Any]]:
    """A session of the role as another program opens it, without the fences of `query`."""
    # Copies of a template begin without the rights on databases that the migration sets.
    name = database_url(filled.settings).database
    filled.execute(f"revoke temporary on database {name} from public")
    with psycopg.connect(libpq_uri(reader_url(filled.settings)), autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        yield connection


def ask_for_all(
    settings: Settings, statement: str, **options: Any
) -> tuple[list[str], list[tuple[Any, ...]]]:
    with contextmanager(ask)(settings, statement, **options) as answer:
        return answer.columns, [tuple(row) for row in answer.rows]


def with_attributes(settings: Settings, switch: str | None) -> Settings:
    """The settings of an installation whose database has heard of the switch."""
    changed = settings.model_copy(update={"analyst_attributes": switch})
    migrate(database_url(changed), changed)
    return changed


def test_names_and_attributes_of_contacts_can_be_asked(filled: Installation) -> None:
    columns, rows = ask_for_all(
        filled.settings,
        "select a.*, c.email from analytics.contact_attributes a"
        " join analytics.contacts c on c.id = a.contact_id order by a.external_id",
    )
    assert columns[2:] == [
        "external_id",
        "first_name",
        "last_name",
        "phone",
        "timezone",
        "attributes",
        "email",
    ]
    assert [(row[2], row[3], row[4], row[7].get("city")) for row in rows] == [
        ("ann", "Ann", None, "Bern"),
        ("bob", None, "Boss", None),
        ("c1", None, None, None),
    ]


def test_attributes_can_be_joined_with_the_lake(
    filled: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    sql = (
        "select a.first_name, a.attributes->>'city' as city, a.attributes->'plan' as plan,"
        " count(*) as events from lake.contact_activity e"
        f" join {ATTRIBUTES} a using (contact_id) group by all"
    )
    printed = printed_here(capsys, "query", sql, "--format", "csv")
    assert printed.splitlines() == [
        "first_name,city,plan,events",
        'Ann,Bern,"{""seats"":2.5}",1',
    ]


def test_what_joins_contacts_stays_as_promised(filled: Installation) -> None:
    columns, _ = ask_for_all(filled.settings, "select * from analytics.contacts")
    assert columns[: len(PROMISED)] == PROMISED


def test_attributes_are_hidden_where_the_setting_is_off_until_it_is_on_again(
    filled: Installation,
) -> None:
    hidden = with_attributes(filled.settings, "off")
    for relation in (ATTRIBUTES, f"lake.contact_activity, {ATTRIBUTES}"):
        with pytest.raises(BadInputError, match="contact_attributes"):
            ask_for_all(hidden, f"select * from {relation}")
    unsaid = with_attributes(filled.settings, None)
    with pytest.raises(BadInputError, match="permission denied for view contact_attributes"):
        ask_for_all(unsaid, f"select * from {ATTRIBUTES}")
    shown = with_attributes(filled.settings, "on")
    assert len(ask_for_all(shown, f"select * from {ATTRIBUTES}")[1]) == 3


def test_two_commands_may_turn_the_switch_at_once(filled: Installation) -> None:
    with_attributes(filled.settings, "on")
    try:
        with filled.engine.connect() as first, ThreadPoolExecutor(1) as pool:
            first.execute(sa.select(sa.func.pg_advisory_lock(MIGRATION_LOCK)))
            first.exec_driver_sql(f"revoke select on {ATTRIBUTES} from marketing_reader")
            second = pool.submit(with_attributes, filled.settings, "off")
            until(lambda: filled.rows(WAITING), what="the second to wait")
            first.commit()
            first.execute(sa.select(sa.func.pg_advisory_unlock(MIGRATION_LOCK)))
            first.commit()
            second.result(60)
            assert not analysts_see_attributes(first)
    finally:
        with_attributes(filled.settings, "on")


WAITING = """
    select 1 from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
"""


@pytest.mark.parametrize("switch", ["off", "on"])
def test_the_warehouse_holds_attributes_where_analysts_may_read_them(
    filled: Installation, switch: str
) -> None:
    with_attributes(filled.settings, switch)
    try:
        filled.run("analytics/warehouse")
        path = f"{filled.settings.warehouse_url}/warehouse.duckdb"
        with duckdb.connect(path, read_only=True) as warehouse:
            tables = {row[0] for row in warehouse.sql("show tables").fetchall()}
            assert ("contact_attributes" in tables) is (switch == "on")
            assert "contacts" not in tables
            if switch == "on":
                found = warehouse.sql(
                    "select first_name, attributes->>'city', typeof(attributes)"
                    " from contact_attributes where external_id = 'ann'"
                ).fetchall()
                assert found == [("Ann", "Bern", "JSON")]
    finally:
        with_attributes(filled.settings, "on")


@pytest.mark.parametrize(
    "statement",
    [
        "select pg_advisory_lock(1)",
        "select pg_try_advisory_lock(1, 2)",
        "select pg_advisory_xact_lock_shared(1)",
        "select pg_advisory_unlock_all()",
        "select pg_notify('procrastinate_any_queue', 'x')",
        "select pg_logical_emit_message(false, 'x', 'y')",
        "select lo_create(0)",
        "select lo_from_bytea(0, 'x')",
        "select lo_import('/etc/passwd')",
        "select lo_export(1, '/tmp/x')",
        "select pg_cancel_backend(pg_backend_pid())",
        "select pg_terminate_backend(pg_backend_pid())",
        "select pg_read_file('/etc/passwd')",
        "select pg_read_binary_file('/etc/passwd')",
        "select pg_ls_dir('/')",
        "select pg_stat_file('/etc/passwd')",
        "select pg_reload_conf()",
        "select pg_rotate_logfile()",
        "select pg_switch_wal()",
        "select pg_create_restore_point('x')",
        "select pg_stat_reset()",
        "select pg_create_logical_replication_slot('x', 'test_decoding')",
        "select pg_create_physical_replication_slot('x')",
        "select nextval('analytics.contact_activity_id_seq')",
        "select setval('analytics.contact_activity_id_seq', 1)",
        "select analytics.ensure_activity_month('2031-01-01')",
        "select ops.fetch_task('crm-events', 1, 1, 1)",
        "select dblink_connect('dbname=postgres')",
        "create extension dblink",
        "create temporary table mine (a int)",
        "create table public.mine (a int)",
        "create table analytics.mine (a int)",
        "create schema mine",
        "create function pg_temp.f() returns int language sql as 'select 1'",
        "copy analytics.organizations to program 'true'",
        "copy analytics.organizations to '/tmp/stolen'",
        "copy analytics.organizations from '/etc/passwd'",
        "set role marketing",
        "set session authorization marketing",
        "set session_replication_role = replica",
        "set log_statement = 'all'",
        "alter system set work_mem = '1GB'",
        "lock table analytics.hourly_events in row exclusive mode",
        "select * from analytics.hourly_events for update",
        "select * from crm.contacts",
        "select * from pg_authid",
        "select * from pg_stats where schemaname = 'crm' and 1 / count(*) over () = 0",
        "delete from analytics.event_aggregates",
        "comment on table analytics.event_aggregates is 'x'",
        "analyze verbose crm.contacts; select 1 / 0",
        "do $$ begin perform pg_notify('x', 'y'); end $$",
    ],
)
def test_a_session_of_the_reader_can_do_nothing_beyond_reading(
    reader: psycopg.Connection[Any], statement: str
) -> None:
    with pytest.raises(psycopg.Error):
        reader.execute(f"begin; {statement}; commit")


def test_no_function_that_every_role_may_call_does_more_than_read(
    reader: psycopg.Connection[Any],
) -> None:
    """A list to look through again with each major version of PostgreSQL."""
    found = reader.execute(
        "select distinct proname from pg_proc where provolatile = 'v' and prokind in ('f', 'p')"
        " and has_function_privilege(oid, 'execute')"
        " and has_schema_privilege(pronamespace, 'usage')"
        " and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype,"
        "  'internal'::regtype, 'cstring'::regtype, 'language_handler'::regtype)"
        " and not proargtypes::oid[] && array['internal'::regtype, 'cstring'::regtype]::oid[]"
        " and proname <> 'plpgsql_validator'"
    ).fetchall()
    known = [re.compile(name) for names in HARMLESS.values() for name in names.split()]
    assert [
        name for (name,) in found if not any(pattern.fullmatch(name) for pattern in known)
    ] == []


def test_no_function_of_this_project_can_be_called_by_the_reader(
    reader: psycopg.Connection[Any],
) -> None:
    found = reader.execute(
        "select oid::regprocedure::text from pg_proc where has_function_privilege(oid, 'execute')"
        " and pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
    ).fetchall()
    assert found == []


def test_everything_that_the_reader_may_read_answers(reader: psycopg.Connection[Any]) -> None:
    found = reader.execute(
        "select oid::regclass::text from pg_class where relkind in ('r', 'v', 'p')"
        " and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
        " and has_schema_privilege(relnamespace, 'usage') and has_table_privilege(oid, 'select')"
    ).fetchall()
    assert len(found) > 30
    for (relation,) in found:
        reader.execute(f"select * from {relation} limit 1")


def test_jobs_lock_and_notify_as_before(filled: Installation) -> None:
    assert filled.rows("select pg_try_advisory_xact_lock(1), pg_notify('x', 'y')") == [(True, "")]


@pytest.mark.parametrize(
    "statement",
    [
        "select set_config('statement_timeout', '0', false), pg_sleep(60)",
        "select set_config('statement_timeout', '0', false), pg_sleep(0.001)"
        " from generate_series(1, 100000)",
        "select sum(a.i * b.i) from range(1000000) a(i), range(1000000) b(i),"
        " lake.contact_activity",
        "select a.i from range(100000000000) a(i), lake.contact_activity where a.i < 0",
    ],
)
def test_a_query_is_ended_from_outside_when_its_time_is_up(
    filled: Installation, statement: str
) -> None:
    begun = time.monotonic()
    with pytest.raises(TimedOutError, match=r"^The query was stopped after 1 s, the time it may"):
        ask_for_all(filled.settings, statement, time_limit=dt.timedelta(seconds=1))
    assert time.monotonic() - begun < 20


def test_a_query_says_nothing_of_files_that_it_may_not_read(
    filled: Installation, tmp_path: Path
) -> None:
    there, absent = tmp_path / "there.csv", tmp_path / "absent.csv"
    there.write_text("a,b\n1,2\n")
    readers = ["read_csv", "read_text", "read_parquet", "read_json", "glob", "sniff_csv"]
    sources = [*(f"{reader}('{{0}}')" for reader in readers), "'{0}'", '"{0}"']

    def refusal(source: str, file: Path) -> str:
        statement = f"select count(*) from {source.format(file)}, lake.contact_activity"
        with pytest.raises(BadInputError) as refused:
            ask_for_all(filled.settings, statement)
        return str(refused.value).replace(str(file), "FILE")

    said = {source: (refusal(source, there), refusal(source, absent)) for source in sources}
    assert {source: pair for source, pair in said.items() if pair[0] != pair[1]} == {}


def test_a_query_downloads_no_extension(filled: Installation) -> None:
    for source in ("st_read('x')", "sqlite_scan('x', 'y')", "iceberg_scan('x')"):
        with pytest.raises(BadInputError, match=r"exists in the .* extension|not in the catalog"):
            ask_for_all(filled.settings, f"from {source}, lake.contact_activity")
