"""The measurements, each a function that adds its results to the report."""

import datetime as dt
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from marketing_pipelines_tests.analytics import esp
from marketing_pipelines_tests.benchmarks import data, segment_world, step_world
from marketing_pipelines_tests.benchmarks.child import hour_key
from marketing_pipelines_tests.benchmarks.report import Measured, Report
from marketing_pipelines_tests.benchmarks.sites import Server, Site

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
EXPORT = "analytics/contact_activity"
CAMPAIGN_DAYS = "analytics/campaign_daily_stats"
SEGMENTS = "segments/memberships"
STEP_PROGRESS = "campaigns/step_progress"
BUSY_DAY = "2026-03-10"
TASKS = 4_000


@dataclass
class Bench:
    """The server, the files, and the two histories, loaded when needed, for all measurements."""

    server: Server
    report: Report
    folder: Path
    events: int
    repeat: int
    messages: int = 200_000
    contacts: int = 1_000_000
    loads: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def full(self) -> Site:
        """An installation with all events, exported."""
        return self._loaded("history", self.events)

    @cached_property
    def tenth(self) -> Site:
        """An installation with a tenth of them."""
        return self._loaded("tenth", self.events // 10)

    def _loaded(self, name: str, events: int) -> Site:
        self.report.say(f"making the files of {events:,} events, or finding them")
        files = data.history(self.folder, events)
        hours = data.hour_files(self.folder)
        site = self.server.new_site(name)
        for kind, path in files:
            self.report.say(f"loading {kind}")
            self.loads[f"{name} {kind}"] = site.child("load", kind, path)
            if kind == "campaign_contacts":  # as autovacuum does within a minute
                site.execute("analyze crm.contacts, campaigns.campaigns, lifecycle.enrolments")
        for path in hours:
            site.child("load", "events", path)
        site.settle()
        self.report.say(f"exporting {events:,} events")
        first, last = f"{data.FIRST_DAY}-00:00", hour_key(data.ORDINARY_HOUR)
        self.loads[f"{name} export"] = site.child("run", EXPORT, first, last)
        return site


def loading(bench: Bench) -> None:
    """Events from a Parquet file into PostgreSQL, keys and marks included."""
    _ = bench.full
    load = bench.loads["history events"]
    rate = load["rows"] / load["seconds"]
    note = f"{load['rows']:,} events in {load['seconds']:.0f} s, once"
    bench.report.add(Measured("load events", [rate], "rows/s", 100_000, at_least=True, note=note))
    bench.report.add(
        Measured(
            "load events, peak memory",
            [load["peak_mb"]],
            "MB",
            note=f"whole process; {load['peak_mb'] - load['idle_mb']:.0f} MB above idle",
        )
    )
    ratios = []
    for _ in range(bench.repeat):
        bare = bench.full.child("bare_load")
        ratios.append(rate / (bare["rows"] / bare["seconds"]))
    note = "COPY into an identical table and the insert of the keys"
    bench.report.add(
        Measured("load events : bare COPY", ratios, "×", 0.75, at_least=True, note=note)
    )
    contacts = bench.loads["history contacts"]
    rate = contacts["rows"] / contacts["seconds"]
    bench.report.add(Measured("load contacts", [rate], "rows/s", note=f"{contacts['rows']:,} rows"))


def export(bench: Bench) -> None:
    """Hours out of PostgreSQL into the lake."""
    site = bench.full
    month = _session(bench.loads["history export"], EXPORT)
    busiest = _busiest_hour(site)
    spans = {
        f"export one hour of {data.BUSY_HOUR_EVENTS:,}": (hour_key(data.BUSY_HOUR),) * 2,
        "export the busiest hour of the history": (busiest, busiest),
        "export a day": (f"{BUSY_DAY}-00:00", f"{BUSY_DAY}-23:00"),
    }
    for name, (first, last) in spans.items():
        runs = [site.child("run", EXPORT, first, last) for _ in range(bench.repeat)]
        sessions = [_session(run, EXPORT) for run in runs]
        rates = [session["rows"] / session["seconds"] for session in sessions]
        peak = max(run["peak_mb"] - run["idle_mb"] for run in runs)
        note = f"{sessions[0]['rows']:,} events; {peak:.0f} MB above idle"
        bench.report.add(Measured(name, rates, "rows/s", 500_000, at_least=True, note=note))
    hour = data.BUSY_HOUR
    ratios = []
    for _ in range(bench.repeat):
        ours = _session(site.child("run", EXPORT, *(hour_key(hour),) * 2), EXPORT)
        bare = site.child("bare_export", hour, hour + dt.timedelta(hours=1))
        assert bare["rows"] == ours["rows"], (bare, ours)
        ratios.append(bare["seconds"] / ours["seconds"])
    note = "the same rows by COPY, piped into a Parquet writer"
    name = f"export one hour of {data.BUSY_HOUR_EVENTS:,} : bare COPY"
    bench.report.add(Measured(name, ratios, "×", 0.6, at_least=True, note=note))
    rate = month["rows"] / month["seconds"]
    whole = bench.loads["history export"]
    above = whole["peak_mb"] - whole["idle_mb"]
    note = f"{month['rows']:,} events, first read; {above:.0f} MB above idle"
    bench.report.add(
        Measured("export the whole history", [rate], "rows/s", 500_000, at_least=True, note=note)
    )


def campaign_days(bench: Bench) -> None:
    """Thirty campaign days with exact uniques, against DuckDB by itself on the same files."""
    site = bench.full
    first, last = str(data.FIRST_DAY), str(data.LAST_DAY)
    site.child("raw_duckdb", first, last)
    runs, raws = [], []
    for _ in range(bench.repeat):
        raws.append(site.child("raw_duckdb", first, last))
        runs.append(site.child("run", CAMPAIGN_DAYS, first, last))
    ours = [_session(run, CAMPAIGN_DAYS) for run in runs]
    seconds = [session["seconds"] for session in ours]
    plain = [raw["seconds"] for raw in raws]
    above = [run["peak_mb"] - run["idle_mb"] for run in runs]
    settings = ", ".join(f"{name} {value}" for name, value in raws[0]["settings"].items())
    add = bench.report.add
    add(Measured("30 campaign days, DuckDB alone", plain, "s", note=settings))
    add(Measured("30 campaign days, session", seconds, "s", note=f"{ours[0]['rows']:,} rows"))
    add(Measured("30 campaign days, whole run", [run["wall"] for run in runs], "s"))
    ratios = [a / b for a, b in zip(seconds, plain, strict=True)]
    add(Measured("30 campaign days, session : DuckDB", ratios, "×", 1.3))
    raw_above = statistics.median(raw["peak_mb"] - raw["idle_mb"] for raw in raws)
    note = f"DuckDB alone {raw_above:.0f} MB"
    add(Measured("30 campaign days, memory above idle", above, "MB", 256, note=note))


def hourly_job(bench: Bench) -> None:
    """One hour's export and counts with all of the history against a tenth of it."""
    hour = hour_key(data.ORDINARY_HOUR)
    sites = {"all": bench.full, "tenth": bench.tenth}
    costs: dict[str, list[float]] = {name: [] for name in sites}
    for attempt in range(max(bench.repeat, 5) + 1):
        for name, site in sites.items():
            run = site.child("run", EXPORT, hour, hour)
            if attempt:
                costs[name].append(sum(session["seconds"] for session in run["sessions"]))
    for name, events in (("tenth", bench.events // 10), ("all", bench.events)):
        note = f"history of {events:,}; hour of {data.ORDINARY_HOUR_EVENTS:,}"
        bench.report.add(Measured(f"hourly job, {name}", costs[name], "s", note=note))
    ratio = statistics.median(costs["all"]) / statistics.median(costs["tenth"])
    note = "of the medians"
    bench.report.add(Measured("hourly job, all : tenth", [ratio], "×", 1.25, note=note))


def esp_events(bench: Bench) -> None:
    """The sample of real events, four years of partitions, Dagster's storage in PostgreSQL."""
    path = SHARED_DATA / esp.FILE
    if not path.exists():
        bench.report.say("the sample of real events is not here: skipped")
        return
    runs = []
    for number in range(bench.repeat):
        site = bench.server.new_site(f"esp_{number}")
        runs.append(site.child("esp_events", path))
    note = (
        f"{runs[0]['events']} events, {runs[0]['load_seconds']:.1f} s of it loading; "
        f"{max(r['peak_mb'] - r['idle_mb'] for r in runs):.0f} MB above idle"
    )
    bench.report.add(
        Measured(
            "ESP sample, load and all partitions", [r["seconds"] for r in runs], "s", 60, note=note
        )
    )


def definitions(bench: Bench) -> None:
    """A fresh interpreter until the definitions are there."""
    site = bench.server.new_site("definitions")
    variants = {
        "import dagster": "import dagster",
        "import what definitions need": "import dagster, sqlalchemy, psycopg, pydantic_settings",
        "definitions load": "import marketing_pipelines.definitions",
        "definitions load and resolve": (
            "from marketing_pipelines.definitions import defs; defs.get_repository_def()"
        ),
    }
    rounds = [
        {name: _interpreter(site, statement) for name, statement in variants.items()}
        for _ in range(6)
    ][1:]
    for name in variants:
        seconds = [one[name] for one in rounds]
        bench.report.add(Measured(name, seconds, "s", note="process start to end"))
    ratios = [one["definitions load"] / one["import what definitions need"] for one in rounds]
    note = "dagster, sqlalchemy, psycopg, pydantic_settings"
    bench.report.add(Measured("definitions load : imports alone", ratios, "×", 1.3, note=note))


def queues(bench: Bench) -> None:
    """Tasks that do nothing, in and out of their queue, with 1, 2 and 4 worker processes."""
    site = bench.server.new_site("queues")
    enqueued: list[float] = []
    for processes in (1, 2, 4):
        runs = [site.child("tasks", processes, TASKS) for _ in range(bench.repeat)]
        enqueued += [run["enqueued_per_second"] for run in runs]
        note = f"{TASKS:,} tasks, each in hand, done and settled by itself"
        rates = [run["done_per_second"] for run in runs]
        name = f"tasks done, {processes} worker{'s' if processes > 1 else ''}"
        bench.report.add(Measured(name, rates, "tasks/s", note=note))
    bench.report.add(Measured("tasks enqueued", enqueued, "tasks/s", note="in one statement"))


def segments(bench: Bench) -> None:
    """Fifty segments of one organization: a tenth of --events as contacts, twice as many events."""
    contacts, events = bench.events // 10, bench.events * 2
    site = bench.server.new_site("segments")
    bench.report.say(f"making {contacts:,} contacts and {events:,} events")
    segment_world.build(site, contacts, events)
    at = segment_world.NOW

    def evaluate(at: dt.datetime) -> dict[str, Any]:
        run = site.child("run_at", SEGMENTS, at.isoformat())
        return _session(run, SEGMENTS) | {"above": run["peak_mb"] - run["idle_mb"]}

    first = evaluate(at)
    note = f"{first['rows']:,} members of {contacts:,} contacts; {first['above']:.0f} MB above idle"
    add = bench.report.add
    add(Measured("50 segments, first evaluation", [first["seconds"]], "s", 75, note=note))
    site.settle()
    again = []
    for _ in range(bench.repeat):
        site.execute("update segments.evaluations set evaluated_at = null")
        again.append(evaluate(at)["seconds"])
    add(Measured("50 segments, all contacts again", again, "s", 45, note="no contact enters"))
    few, nothing = [], []
    for number in range(bench.repeat):
        new = segment_world.NEW_EVENTS
        segment_world.add_events(site, contacts, at, new, f"new{number}-")
        at += dt.timedelta(minutes=5)
        few.append(evaluate(at)["seconds"])
        nothing.append(evaluate(at)["seconds"])
    note = f"{segment_world.NEW_EVENTS:,} new events, 5 minutes later"
    add(Measured("50 segments, new events", few, "s", 3, note=note))
    add(Measured("50 segments, nothing changed", nothing, "s", 0.1, note="at the same instant"))
    hour = evaluate(at + dt.timedelta(hours=1))
    add(Measured("50 segments, an hour later", [hour["seconds"]], "s", note="windows slid"))


def steps(bench: Bench) -> None:
    """Five hundred campaigns of eight steps; a tenth of --events as enrolments, a fifth due."""
    enrolments = bench.events // 10
    due = min(step_world.DUE, enrolments // (bench.repeat + 1))
    site = bench.server.new_site("steps")
    bench.report.say(f"making {enrolments:,} enrolments")
    step_world.build(site, enrolments, due, bench.repeat)
    by_row = step_world.loop(site)

    def move(at: dt.datetime) -> dict[str, Any]:
        run = site.child("run_at", STEP_PROGRESS, at.isoformat())
        return _session(run, STEP_PROGRESS) | {"above": run["peak_mb"] - run["idle_mb"]}

    rates, memory, nothing = [], [], []
    for number in range(bench.repeat):
        at = step_world.NOW + dt.timedelta(hours=number)
        moved = move(at)
        assert moved["rows"] == due, moved
        rates.append(due / moved["seconds"])
        memory.append(moved["above"])
        nothing.append(move(at)["seconds"])
    add = bench.report.add
    note = f"{due:,} due of {enrolments:,} in {step_world.PROGRAMS} campaigns, with messages"
    add(Measured("send step", rates, "contacts/s", 40_000, at_least=True, note=note))
    add(Measured("the same by a loop", [by_row], "contacts/s", note="a commit for each contact"))
    ratio = [rate / by_row for rate in rates]
    add(Measured("send step compared with the loop", ratio, "×", 40, at_least=True))
    add(Measured("send step, memory", memory, "MB", note="above idle"))
    add(Measured("nothing due", nothing, "s", 0.05, note=f"at {enrolments:,} enrolments"))


def _interpreter(site: Site, statement: str) -> float:
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", statement], check=True, env=site.variables
    )
    return time.monotonic() - started


def _session(run: Mapping[str, Any], job: str) -> dict[str, Any]:
    (session,) = (s for s in run["sessions"] if s["job"] == job)
    assert session["status"] == "COMPLETED", session
    return dict(session)


def _busiest_hour(site: Site) -> str:
    ((hour,),) = site.execute(
        "select hour from analytics.lake_hours where hour < %s order by rows desc limit 1",
        data.BUSY_HOUR,
    )
    return hour_key(hour)


def daemon(bench: Bench) -> None:
    """Runs launched through the web server and done by the daemon."""
    from marketing_pipelines_tests.benchmarks.daemon import measure

    measure(bench.server, bench.report, bench.repeat)


def mails(bench: Bench) -> None:
    """Mails over SMTP compared with a bare loop; the gate with --messages queued and settled."""
    from marketing_pipelines_tests.benchmarks.mails import measure

    measure(bench.server, bench.report, bench.repeat, bench.messages)


def leads(bench: Bench) -> None:
    """Scores and stages of --contacts contacts, one of a hundred changed, against bare SQL."""
    from marketing_pipelines_tests.benchmarks.leads import measure

    measure(bench.server, bench.report, bench.contacts)


def sales(bench: Bench) -> None:
    """Stale deals, briefs and insights over --messages deals, compared with bare SQL."""
    from marketing_pipelines_tests.benchmarks.sales import measure

    measure(bench.server, bench.report, bench.repeat, bench.messages)


def backups(bench: Bench) -> None:
    """Backup and restore of a tenth of --events as contacts, ten events each, against pg_dump."""
    from marketing_pipelines_tests.benchmarks.backups import measure

    measure(bench.server, bench.report, bench.repeat, bench.events // 10)


def exports(bench: Bench) -> None:
    """Exports of --contacts contacts in each row format, against COPY and DuckDB by themselves."""
    from marketing_pipelines_tests.benchmarks.exports import measure

    measure(bench.server, bench.report, bench.repeat, bench.contacts)


def rehearsals(bench: Bench) -> None:
    """The rehearsal of a program of eight steps over thirty days with 10,000 contacts."""
    from marketing_pipelines_tests.benchmarks.rehearsals import measure

    measure(bench.server, bench.report, bench.repeat)


MEASURES: dict[str, Callable[[Bench], None]] = {
    "definitions": definitions,
    "loading": loading,
    "export": export,
    "campaign_days": campaign_days,
    "hourly_job": hourly_job,
    "esp_events": esp_events,
    "queues": queues,
    "segments": segments,
    "steps": steps,
    "mails": mails,
    "leads": leads,
    "sales": sales,
    "backups": backups,
    "exports": exports,
    "rehearsals": rehearsals,
    "daemon": daemon,
}
