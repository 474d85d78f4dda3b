"""A changed `jobs.toml` comes into force whole, or not at all."""

import pytest

from marketing_pipelines import jobs_file, policies
from marketing_pipelines.cli import config
from marketing_pipelines_tests.cli.console import call, refusal
from marketing_pipelines_tests.faults.running import Running
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.probe import write_policies
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until

GOOD = '[queues."crm-events"]\nconcurrency = 2\n'
BETTER = GOOD.replace("2", "3")
BROKEN = '[queues."crm-event"]\nconcurrency = 2\n'
SENTENCE = "jobs.toml line 1 cannot be used: there is no queue 'crm-event', only "


def alerts(installation: Installation) -> list[tuple[str, str]]:
    return [
        (subject, kind)
        for subject, kind in installation.rows(
            "select subject, kind from ops.alerts join ops.incidents on incidents.id = incident_id"
            " where subject like 'settings %' order by alerts.id"
        )
    ]


def test_a_good_file_replaces_the_copy_and_a_broken_one_alerts_once_and_changes_nothing(
    installation: Installation,
) -> None:
    file = write_policies(GOOD)
    assert call("config", "apply").stdout == "jobs.toml is in force.\n"
    active = jobs_file.active()
    assert jobs_file.current() == active
    write_policies(BROKEN)
    for _ in range(2):
        assert refusal("config", "apply", "--alert").startswith(f"{file.parent}/{SENTENCE}")
    assert active.read_text() == GOOD
    assert policies.queue_overrides()["crm-events"].concurrency == 2
    assert alerts(installation) == [("settings jobs.toml", "first")]
    file.unlink()
    assert call("config", "apply", "--alert").returncode == 0
    assert not active.exists()
    assert alerts(installation)[1:] == [("settings jobs.toml", "recovery")]


@pytest.mark.soak
@soak_only
def test_a_command_of_its_own_applies_a_good_change_and_warns_of_a_broken_one(
    installation: Installation,
) -> None:
    write_policies(GOOD)
    jobs_file.apply()
    file = write_policies(BROKEN)
    done = call("timetable")
    assert done.returncode == 0
    assert done.stderr.startswith(f"marketing-pipelines: {file.parent}/{SENTENCE}")
    assert done.stderr.endswith("The former settings hold.\n")
    assert jobs_file.active().read_text() == GOOD
    write_policies(BETTER)
    assert call("timetable").stderr == ""
    assert jobs_file.active().read_text() == BETTER


@pytest.mark.soak
@soak_only
@pytest.mark.timeout(600)
def test_a_running_up_restarts_its_parts_with_a_good_change_and_keeps_the_copy_of_a_broken_one(
    installation: Installation,
) -> None:
    file = write_policies(GOOD)
    installation.engine.dispose()
    with Running.up() as running:

        def printed(text: str) -> bool:
            return any(text in line for line in running.lines)

        until(lambda: printed("crm-events (2 at once"), seconds=60, what="the worker to start")
        write_policies(BROKEN)
        until(lambda: printed(SENTENCE), seconds=60, what="the mistake to be printed")
        assert alerts(installation) == [("settings jobs.toml", "first")]
        assert jobs_file.active().read_text() == GOOD
        write_policies(BETTER)
        until(lambda: printed("crm-events (3 at once"), seconds=120, what="the worker to restart")
        until(running.answers, seconds=120, what="the web server to answer again")
        assert sum(SENTENCE in line for line in running.lines) == 1
        assert not printed("ended with code")
        assert alerts(installation)[1:] == [("settings jobs.toml", "recovery")]
    assert file.read_bytes() == jobs_file.active().read_bytes()
    assert config.LOOKS_EVERY == 10
