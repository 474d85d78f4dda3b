"""`sessions` and `missed`: what worked, and what did not."""

import datetime as dt

from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import Installation

HOURS = "analytics/contact_activity"


def lines(*arguments: str) -> list[list[str]]:
    """The output of the command without its header, cut at two spaces and more."""
    done = call_here(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines()[1:]]


def test_sessions_are_listed_newest_first_and_by_job(installation: Installation) -> None:
    installation.run(HOURS, "2026-03-01-09:00", only=True)
    installation.run("analytics/warehouse")
    assert [line[1] for line in lines("sessions")] == [
        "analytics/warehouse",
        "analytics/hourly_events",
        HOURS,
    ]
    [only] = lines("sessions", "--job", HOURS)
    assert only[1:4] == [HOURS, "2026-03-01-09:00", "manual"]
    assert "COMPLETED" in only
    assert lines("sessions", "--running") == []


def test_run_prints_how_many_partitions_only_where_the_job_has_them(
    installation: Installation,
) -> None:
    [row] = call_here("run", "operations/metrics").stdout.splitlines()[1:]
    assert [row.split()[0], row.split()[-1], len(row.split())] == [
        "operations/metrics",
        "COMPLETED",
        4,
    ]
    command = ("run", HOURS, "--partition", "2026-03-01-09:00", "--only")
    assert call_here(*command).stdout.splitlines()[1].split()[:2] == [HOURS, "1"]


def test_missed_lists_ticks_since_the_first_start_that_did_not_run(
    installation: Installation,
) -> None:
    assert missed_since_a_start(installation, hours_ago=0) == 0
    # A tick of the last ten minutes is late, not missed.
    assert missed_since_a_start(installation, hours_ago=3) == 3 - is_late()


def is_late() -> bool:
    """Tells if the tick of this hour is still within its grace."""
    return dt.datetime.now(dt.UTC).minute < 10


def missed_since_a_start(installation: Installation, *, hours_ago: int) -> int:
    """Ticks of one job; looks again if one more fired, or went missing, meanwhile."""
    while True:
        moment = (dt.datetime.now(dt.UTC).hour, is_late())
        installation.execute(
            "update ops.installation set started_at = now() - make_interval(hours => :hours)",
            hours=hours_ago,
        )
        found = [line for line in lines("missed") if line[1] == HOURS]
        if (dt.datetime.now(dt.UTC).hour, is_late()) == moment:
            return len(found)
