"""A running installation: `up` with its web server and daemon, worked from outside."""

import contextlib
import datetime as dt
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from marketing_pipelines_tests.benchmarks.child import hour_key
from marketing_pipelines_tests.benchmarks.report import Measured, Report
from marketing_pipelines_tests.benchmarks.sites import Server, Site

TICKS = 20
EXPORT, DAYS = "analytics/contact_activity", "analytics/event_aggregates"
EXPORT_JOB, DAYS_JOB = "analytics__contact_activity_job", "analytics__event_aggregates_job"
EMPTY_YEAR = ("2024-01-01", "2024-12-30")
LAUNCH = """
mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""


@dataclass(frozen=True)
class Run:
    """A launched run."""

    run_id: str
    launched: float


@dataclass(frozen=True)
class Running:
    """An installation that `up` keeps running."""

    site: Site
    address: str

    @classmethod
    @contextlib.contextmanager
    def up(cls, site: Site) -> Iterator["Running"]:
        """Started and answering; stopped by SIGTERM."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = (site.folder / "up.log").open("wb")
        command = "from marketing_pipelines.cli.main import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", command, "up", "--port", str(port)],
            env=site.variables,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            running = cls(site, f"http://127.0.0.1:{port}/graphql")
            running.wait_until_ready()
            yield running
        finally:
            process.terminate()
            process.wait(30)
            log.close()

    def wait_until_ready(self) -> None:
        """Until the web server answers and the daemon's sensors have ticked."""
        wait_for(self._answers, 120)
        wait_for(lambda: bool(self.site.ask_dagster("select 1 from job_ticks limit 1")), 120)

    def _answers(self) -> bool:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            answer = self._ask("{ repositoriesOrError { __typename } }", {})
            return bool(answer["repositoriesOrError"]["__typename"] == "RepositoryConnection")
        return False

    def launch(self, job: str, tags: Mapping[str, str]) -> Run:
        """Does the same as a click on "Launch run"."""
        parameters = {
            "selector": {
                "repositoryLocationName": "marketing_pipelines",
                "repositoryName": "__repository__",
                "jobName": job,
            },
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
        }
        launched = time.time()
        answer = self._ask(LAUNCH, {"parameters": parameters})["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return Run(answer["run"]["runId"], launched)

    def seconds_to_success(self, run: Run) -> float:
        """From the request to Dagster's end of the run."""

        def ended() -> bool:
            return self._status(run)[0] in ("SUCCESS", "FAILURE", "CANCELED")

        wait_for(ended, 300)
        status, end = self._status(run)
        assert status == "SUCCESS", (run.run_id, status)
        return float(end) - run.launched

    def _status(self, run: Run) -> tuple[str, float]:
        ((status, end),) = self.site.ask_dagster(
            "select status, end_time from runs where run_id = %s", run.run_id
        )
        return status, end

    def seconds_of_work(self, run: Run) -> float:
        """The seconds that the run's sessions lasted."""
        ((milliseconds,),) = self.site.execute(
            "select sum(duration_ms) from ops.job_sessions where run_id = %s", run.run_id
        )
        return float(milliseconds) / 1000

    def wait_until_quiet(self, seconds: float = 300) -> None:
        """Until nothing is marked and no run is under way."""

        def quiet() -> bool:
            ((marked,),) = self.site.execute("select count(*) from analytics.stale_partitions")
            ((under_way,),) = self.site.ask_dagster(
                "select count(*) from runs where status in"
                " ('QUEUED', 'NOT_STARTED', 'STARTING', 'STARTED')"
            )
            return not marked and not under_way

        wait_for(quiet, seconds)

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data


def measure(server: Server, report: Report, repeat: int) -> None:
    """Runs through the daemon: a year without events, and hours up to their day's row."""
    site = server.new_site("running")
    today = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - dt.timedelta(days=n) for n in range(TICKS, 0, -1)]
    site.execute("insert into crm.organizations (external_id) values ('bench')")
    report.say("exporting the hours of an empty year and of the last days")
    first, last = EMPTY_YEAR
    site.child("run", EXPORT, f"{first}-00:00", f"{last}-23:00", "stored")
    site.child("run", EXPORT, hour_key(days[0]), hour_key(today - dt.timedelta(hours=1)), "stored")
    site.child("run", DAYS, f"{days[0]:%Y-%m-%d}", f"{days[-1]:%Y-%m-%d}", "stored")
    with Running.up(site) as running:
        report.say("the daemon runs")
        running.wait_until_quiet()
        _empty_year(running, report, repeat)
        running.wait_until_quiet()
        _hour_ticks(running, report, days)


def _empty_year(running: Running, report: Report, repeat: int) -> None:
    first, last = EMPTY_YEAR
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }
    seconds, work = [], []
    for _ in range(repeat):
        run = running.launch(DAYS_JOB, tags)
        seconds.append(running.seconds_to_success(run))
        work.append(running.seconds_of_work(run))
    note = f"the session {sorted(work)[len(work) // 2]:.1f} s of it"
    report.add(Measured("365 empty days, launch to success", seconds, "s", 15, note=note))


def _hour_ticks(running: Running, report: Report, days: list[dt.datetime]) -> None:
    """Each hour gets one event in its last second, marked as asked for, as its clock would."""
    beyond, to_row = [], []
    for number, day in enumerate(days):
        hour = day + dt.timedelta(hours=number)
        _insert_event(running.site, hour + dt.timedelta(minutes=59, seconds=59))
        run = running.launch(EXPORT_JOB, {"dagster/partition": hour_key(hour)})
        seconds = running.seconds_to_success(run)
        beyond.append(seconds - running.seconds_of_work(run))
        to_row.append(_wait_for_row(running.site, day) - run.launched)
        report.say(f"{hour_key(hour)}: run {seconds:.1f} s, day row after {to_row[-1]:.1f} s")
        running.wait_until_quiet()
    in_time = sum(value <= 30 for value in to_row)
    middle = sorted(to_row)[len(to_row) // 2]
    report.add(Measured("hourly job, launch to success beyond its work", beyond, "s", 4))
    report.add(
        Measured(
            "hour tick to day row, slowest of all",
            [max(to_row)],
            "s",
            30,
            note=f"{in_time} of {len(to_row)} in time, median {middle:.1f} s",
        )
    )


def _insert_event(site: Site, at: dt.datetime) -> None:
    """An event whose hour counts as asked for at once, so that the sensor leaves it alone."""
    site.execute(
        "insert into analytics.contact_activity"
        " (organization_id, event_id, contact_id, event_type, occurred_at, received_at)"
        " select id, %s, 1, 'last_second', %s, %s from crm.organizations",
        at.isoformat(),
        at,
        at,
        then="insert into analytics.requested_marks select asset, partition, xid, now()"
        " from analytics.stale_partitions",
    )


def _wait_for_row(site: Site, day: dt.datetime) -> float:
    def there() -> bool:
        return bool(
            site.execute(
                "select 1 from analytics.event_aggregates"
                " where event_type = 'last_second' and date = %s",
                day.date(),
            )
        )

    wait_for(there, 120)
    return time.time()


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Polls ten times a second."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition.__qualname__} was not met within {seconds:.0f} s.")
        time.sleep(0.1)
