"""`doctor` checks everything, one line each, and never stops at the first problem."""

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
    unreachable = dict.fromkeys(["postgresql", "clock", "marks"], "problem")
    expected = dict.fromkeys(CHECKS, "ok") | unreachable
    assert findings(done.stdout) == expected


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
