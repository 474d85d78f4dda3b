"""`doctor` checks everything, one line each, and never stops at the first problem."""

from pathlib import Path

import pytest

from marketing_pipelines import locations
from marketing_pipelines.cli import doctor
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.stores import marks
from marketing_pipelines_tests.cli.console import call
from marketing_pipelines_tests.installation import Installation

CHECKS = [
    "python",
    "packages",
    "settings",
    "lake",
    "data folder",
    "postgresql",
    "dagster database",
    "dagster instance",
    "clock",
    "definitions",
    "alerts",
]


def findings(output: str) -> dict[str, str]:
    """The verdict of each check by its name."""
    lines = (line.split(": ", 1)[0].split(maxsplit=1) for line in output.splitlines())
    return {name: verdict for verdict, name in lines}


def test_a_healthy_installation_is_all_ok(installation: Installation) -> None:
    done = call("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert findings(done.stdout) == dict.fromkeys([*CHECKS, "marks"], "ok")


def test_a_database_that_does_not_answer_is_one_problem_among_the_checks(
    installation: Installation,
) -> None:
    done = call("doctor", MARKETING_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    broken = dict.fromkeys(
        ["postgresql", "dagster database", "dagster instance", "clock", "marks"], "problem"
    )
    assert findings(done.stdout) == dict.fromkeys(CHECKS, "ok") | broken


@pytest.mark.parametrize(
    ("name", "value", "check", "sentence"),
    [
        ("MARKETING_ENGINE", "spark", "settings", "does not ship yet: set it to duckdb"),
        ("MARKETING_LAKE_URL", "nothing://lake", "lake", "MARKETING_LAKE_URL nothing://lake"),
    ],
)
def test_a_setting_that_cannot_work_is_a_problem(
    installation: Installation, name: str, value: str, check: str, sentence: str
) -> None:
    done = call("doctor", **{name: value})
    assert findings(done.stdout)[check] == "problem"
    assert sentence in done.stdout


def test_no_secret_of_a_setting_is_told(installation: Installation) -> None:
    lake = "nothing://key:s3cr3t-of-the-lake@bucket"
    database = "postgresql://nobody@127.0.0.1:1/nothing?password=s3cr3t-of-the-database"
    done = call("doctor", MARKETING_LAKE_URL=lake, MARKETING_DATABASE_URL=database)
    assert "MARKETING_LAKE_URL nothing://key:…@bucket" in done.stdout
    assert "PostgreSQL at postgresql+psycopg://nobody@127.0.0.1:1/nothing?password=…" in done.stdout
    refused = call("sessions", MARKETING_DATABASE_URL=database)
    assert "password=…" in refused.stderr
    memory = call("doctor", MARKETING_LAKE_URL="memory://key:s3cr3t-of-the-lake@bucket")
    assert "ok       lake: memory://key:…@bucket" in memory.stdout
    for run in (done, refused, memory):
        assert "s3cr3t" not in run.stdout + run.stderr


def test_marks_that_nothing_will_ever_do_are_named(installation: Installation) -> None:
    with installation.engine.begin() as connection:
        marks.add(connection, "analytics/contact_activity", ["2014-12-30-23:00"])
    done = call("doctor")
    assert done.returncode == 1
    assert "1 marked partitions lie before the first day, 2015-01-01" in done.stdout


def test_addresses_for_alerts_are_checked_without_being_told(installation: Installation) -> None:
    assert "alerts are rows of ops.alerts and reach nobody" in call("doctor").stdout
    done = call("doctor", MARKETING_ALERT_URLS="json://host/a,carrier-pigeon://T0KEN/b")
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
