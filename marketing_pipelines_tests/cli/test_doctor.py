"""`doctor` checks everything, one line each, and never stops at the first problem."""

import os
from pathlib import Path

import pytest

from marketing_pipelines import locations
from marketing_pipelines.cli import doctor, running_up
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.freshness import stale_partitions
from marketing_pipelines.stores import embedded_home
from marketing_pipelines_tests.cli.console import call_here, refusal
from marketing_pipelines_tests.inbox.ports import free_port
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import event

CHECKS = [
    "python",
    "packages",
    "settings",
    "lake",
    "engine",
    "data folder",
    "paths of this machine",
    "orphaned databases",
    "postgresql",
    "lake and database",
    "dagster database",
    "dagster instance",
    "clock",
    "zones",
    "definitions",
    "alerts",
    "backups",
    "channel email",
    "channel sms",
    "channel push",
    "servers of domains",
]


@pytest.fixture(autouse=True)
def no_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clusters of this machine may be many, and measuring them takes long."""
    monkeypatch.setattr(embedded_home, "STATE_DIR", tmp_path / "clusters")


def findings(output: str) -> dict[str, str]:
    """The verdict of each check by its name."""
    lines = (line.split(": ", 1)[0].split(maxsplit=1) for line in output.splitlines())
    return {name: verdict for verdict, name in lines}


def test_a_healthy_installation_is_all_ok(installation: Installation) -> None:
    done = call_here("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert findings(done.stdout) == dict.fromkeys([*CHECKS, "restores", "marks"], "ok")
    assert (
        "settings: this shell's: development, days of UTC, engine duckdb; "
        "no `up` runs with this data folder"
    ) in done.stdout


def test_functions_beyond_reading_that_analysts_may_call_are_named(
    installation: Installation,
) -> None:
    assert "analysts may call" not in call_here("doctor").stdout
    installation.execute("grant execute on function pg_notify(text, text), lo_creat(int) to public")
    assert (
        "; analysts may call lo_creat, pg_notify until a superuser runs the statement on "
        "the page for operators (An external PostgreSQL)\n"
    ) in call_here("doctor").stdout


def test_the_settings_of_the_running_up_are_compared_with_this_shell_s(
    installation: Installation,
) -> None:
    with running_up.noted(installation.settings):
        same = call_here("doctor").stdout
        other = call_here("doctor", MARKETING_ALERT_URLS="json://127.0.0.1:1").stdout
    running = f"the running `up`, process {os.getpid()}, uses"
    assert f"{running} the same\n" in same
    assert f"{running} another MARKETING_ALERT_URLS, so what follows may not hold for it\n" in other


def test_a_database_that_does_not_answer_is_one_problem_among_the_checks(
    installation: Installation,
) -> None:
    done = call_here("doctor", MARKETING_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    needing = ["postgresql", "lake and database", "dagster database", "dagster instance"]
    broken = dict.fromkeys(
        [*needing, "clock", "zones", "restores", "marks", "servers of domains"], "problem"
    )
    assert findings(done.stdout) == dict.fromkeys(CHECKS, "ok") | broken


@pytest.mark.parametrize(
    ("name", "value", "check", "sentence"),
    [
        ("MARKETING_SPARK_REMOTE", "spark.example.org", "settings", "MARKETING_SPARK_REMOTE"),
        (
            "MARKETING_TIMEZONES",
            "UTC",
            "settings",
            "MARKETING_TIMEZONES is no setting of this release: did you mean MARKETING_TIMEZONE?",
        ),
        (
            "MARKETING_COLOUR",
            "red",
            "settings",
            "MARKETING_COLOUR is no setting of this release: remove it, `docs/settings.md` lists",
        ),
        ("MARKETING_LAKE_URL", "nothing://lake", "lake", "MARKETING_LAKE_URL nothing://lake"),
    ],
)
def test_a_setting_that_cannot_work_is_a_problem(
    installation: Installation, name: str, value: str, check: str, sentence: str
) -> None:
    done = call_here("doctor", **{name: value})
    assert findings(done.stdout)[check] == "problem"
    assert sentence in done.stdout


def test_a_missing_java_is_named(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "bin" / "java"
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    done = call_here("doctor", MARKETING_ENGINE="spark")
    assert findings(done.stdout)["engine"] == "problem"
    assert f"{java} is missing: install Java 17 or newer" in done.stdout
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o700)
    done = call_here("doctor", MARKETING_ENGINE="spark")
    assert f"{java} is Java 11: Spark needs Java 17 or newer" in done.stdout


def test_a_server_of_spark_that_does_not_answer_is_a_problem(installation: Installation) -> None:
    remote = f"sc://127.0.0.1:{free_port()}/;token=s3cr3t-of-the-server"
    done = call_here("doctor", MARKETING_ENGINE="spark", MARKETING_SPARK_REMOTE=remote)
    assert findings(done.stdout)["engine"] == "problem"
    assert "check MARKETING_SPARK_REMOTE" in done.stdout
    assert "s3cr3t" not in done.stdout + done.stderr


def test_no_secret_of_a_setting_is_told(installation: Installation) -> None:
    lake = "nothing://key:s3cr3t-of-the-lake@bucket"
    database = "postgresql://nobody@127.0.0.1:1/nothing?password=s3cr3t-of-the-database"
    done = call_here("doctor", MARKETING_LAKE_URL=lake, MARKETING_DATABASE_URL=database)
    assert "MARKETING_LAKE_URL nothing://key:…@bucket" in done.stdout
    assert "PostgreSQL at postgresql+psycopg://nobody@127.0.0.1:1/nothing?password=…" in done.stdout
    refused = call_here("sessions", MARKETING_DATABASE_URL=database)
    assert "password=…" in refused.stderr
    memory = call_here("doctor", MARKETING_LAKE_URL="memory://key:s3cr3t-of-the-lake@bucket")
    assert "ok       lake: memory://key:…@bucket" in memory.stdout
    for run in (done, refused, memory):
        assert "s3cr3t" not in run.stdout + run.stderr


def test_marks_that_nothing_will_ever_do_are_named(installation: Installation) -> None:
    with installation.engine.begin() as connection:
        stale_partitions.add(connection, "analytics/contact_activity", ["2014-12-30-23:00"])
    done = call_here("doctor")
    assert done.returncode == 1
    assert "1 marked partitions lie before the first day, 2015-01-01" in done.stdout


def test_addresses_for_alerts_are_checked_without_being_told(installation: Installation) -> None:
    assert "alerts stay in ops.alerts, undelivered" in call_here("doctor").stdout
    done = call_here("doctor", MARKETING_ALERT_URLS="json://host/a,carrier-pigeon://T0KEN/b")
    assert done.returncode == 1
    assert findings(done.stdout)["alerts"] == "problem"
    assert "address 2 (carrier-pigeon://…)" in done.stdout
    assert "T0KEN" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("instance_file", "sentence"),
    [
        ("", "keeps runs and events elsewhere (SqliteEventLogStorage, SqliteRunStorage"),
        ("{storage}run_retries: {{enabled: true}}\n", "run_monitoring is off: switch it on in "),
    ],
)
def test_an_instance_of_dagster_that_is_not_ours_is_a_problem(
    installation: Installation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    instance_file: str,
    sentence: str,
) -> None:
    monkeypatch.setattr(locations, "PACKAGE", tmp_path)
    storage = "storage: {postgres: {postgres_url: {env: DAGSTER_STORAGE_URL}}}\n"
    (tmp_path / "dagster.yaml").write_text(instance_file.format(storage=storage))
    with pytest.raises(ConfigurationError) as refused:
        doctor.check_dagster_instance(installation.settings)
    assert sentence in str(refused.value)
    assert str(tmp_path / "dagster.yaml") in str(refused.value)


def test_a_lake_of_another_database_is_a_problem_and_takes_no_hours(
    installation: Installation, tmp_path: Path
) -> None:
    """The demo's database with the lake of production, for example."""
    installation.load_events(tmp_path, [event(1, "2026-03-01T10:00:00Z")])
    lake = Path(installation.settings.effective_lake_url)
    lake.mkdir(parents=True)
    (lake / "installation").write_text("6f9619ff-8b86-4d01-b42d-00cf4fc964ff\n")
    with pytest.raises(ConfigurationError, match=r"belongs to installation 6f9619ff-8b86") as said:
        doctor.check_same_installation(installation.settings)
    assert str(lake) in str(said.value)
    sentence = refusal("run", "analytics/contact_activity", "--partition", "2026-03-01-10:00")
    assert "belongs to installation 6f9619ff" in sentence
    assert installation.rows("select * from analytics.lake_hours") == []
    assert [path.name for path in lake.rglob("*")] == ["installation"]
    (lake / "installation").unlink()
    assert doctor.check_same_installation(installation.settings).startswith("both are installation")
    exported, _ = installation.run("analytics/contact_activity", "2026-03-01-10:00")
    assert (exported.status, exported.rows) == ("COMPLETED", 1)


def test_clusters_of_deleted_data_folders_are_counted_listed_and_destroyed(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, gone = tmp_path / "state", tmp_path / "gone"
    monkeypatch.setattr(embedded_home, "STATE_DIR", state)
    (state / "c1" / "postgres").mkdir(parents=True)
    (state / "c1" / "data_dir").write_text(f"{gone}\n")
    (state / "c1" / "postgres" / "PG_VERSION").write_text("17\n")
    (state / "c1" / "postgres" / "rows").write_bytes(b"x" * 3_000_000)
    assert (
        "orphaned databases: 1 of deleted or moved data folders, 3 MB: `marketing-pipelines db"
        " list` names them, `db destroy` deletes them\n"
    ) in call_here("doctor").stdout
    [row] = call_here("db", "list").stdout.splitlines()[1:]
    assert row.split() == [str(state / "c1"), str(gone), "17", "3", "orphan"]
    destroyed = call_here("db", "destroy", "c1").stdout
    assert destroyed == f"{state / 'c1'} of {gone} is deleted (3 MB).\n"
    assert not (state / "c1").exists()
    assert len(call_here("db", "list").stdout.splitlines()) == 1
