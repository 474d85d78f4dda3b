"""Reports of campaigns: their numbers, their files, and what people put into names."""

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from marketing_pipelines.charts import line_chart
from marketing_pipelines.domains.analytics.tables import campaign_daily_stats
from marketing_pipelines.domains.campaigns.reports import (
    CampaignReport,
    Day,
    read,
    safe_name,
)
from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.lifecycle.test_campaign_by_hand import STEPS
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at

JOB = "campaigns/reports"
TICK = instant("2026-03-06T02:30:00+00:00")
MAIL = ("hello", "send_email", {"subject": "Hello", "text": "Hello"})
PAUSE = ("pause", "wait", {"for": "1d"})


@pytest.fixture
def world(installation: Installation) -> ProgramWorld:
    return ProgramWorld(installation.engine)


@pytest.fixture
def folder(installation: Installation) -> Path:
    return Path(installation.settings.reports_url) / "campaigns"


def run(installation: Installation, tick: str = "2026-03-06T02:30:00+00:00") -> tuple[str, int]:
    (outcome,) = installation.run(JOB, at=instant(tick), only=True)
    return outcome.status, outcome.rows


def reports(
    world: ProgramWorld, tick: str = "03-06 02:30", zone: str = "UTC"
) -> list[CampaignReport]:
    with world.engine.connect() as connection:
        return read(connection, tick=at(tick), zone=ZoneInfo(zone))


def by_hand(world: ProgramWorld) -> int:
    """The campaign of `test_campaign_by_hand`, over."""
    program = world.program(STEPS, started_at=at("03-02 09:00"))
    contacts = world.contacts(50)
    world.execute("update crm.contacts set phone = null where external_id = 'c50'")
    world.enrol(program, contacts, at("03-02 10:00"))
    world.move(at("03-02 10:05"))
    world.event(contacts[:20], "opened", at("03-02 12:00"))
    world.move(at("03-03 10:05"))
    world.event(contacts[:3], "clicked", at("03-03 10:07"))
    world.move(at("03-03 10:10"))
    world.event(contacts[3:8], "clicked", at("03-05 10:04:59"))
    world.move(at("03-05 10:05"))
    return program


def count(world: ProgramWorld, program: int, date: str, **numbers: int) -> None:
    """Writes the numbers of a campaign's day; those not given are zero."""
    columns = [column.name for column in campaign_daily_stats.columns][3:]
    values = ", ".join(str(numbers.get(name, 0)) for name in columns)
    world.execute(
        "insert into analytics.campaign_daily_stats"
        f" (campaign_id, organization_id, date, {', '.join(columns)})"
        f" values (:program, 1, :date, {values})",
        program=program,
        date=date,
    )


def text_of(page: Path) -> str:
    """The text that a reader sees, words separated by one space."""
    words: list[str] = []

    class Reader(HTMLParser):
        in_style = False

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.in_style = tag == "style"
            assert tag not in ("script", "link", "img", "iframe"), tag

        def handle_data(self, data: str) -> None:
            if not self.in_style:
                words.extend(data.split())

        def handle_endtag(self, tag: str) -> None:
            self.in_style = False

    Reader().feed(page.read_text())
    return " ".join(words)


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_numbers_of_a_campaign_are_those_counted_by_hand(world: ProgramWorld) -> None:
    by_hand(world)
    [report] = reports(world)
    row = report.row
    assert (row.entered, row.active, row.completed, row.exited, row.failed) == (50, 0, 42, 8, 0)
    assert [
        (step.name, step.arrived, dict(step.outcomes), step.standing, step.left)
        for step in report.steps
    ] == [
        ("hello", 50, {"done": 50}, 0, 0),
        ("pause", 50, {"done": 50}, 0, 0),
        ("opened", 50, {"yes": 20, "no": 30}, 0, 0),
        ("link", 20, {"yes": 8, "no": 12}, 0, 0),
        ("text", 42, {"done": 41, "skipped": 1}, 0, 0),
        ("app", 8, {"done": 8}, 0, 0),
        ("stage", 8, {"done": 8}, 0, 0),
        ("stop", 8, {"exited": 8}, 0, 8),
    ]
    assert [step.reasons for step in report.steps if step.reasons] == [
        [("skipped", "no address", 1)],
        [("exited", "converted", 8)],
    ]
    assert report.days == [
        Day(at("03-02 00:00").date(), entered=50),
        Day(at("03-03 00:00").date(), finished=33),
        Day(at("03-04 00:00").date()),
        Day(at("03-05 00:00").date(), finished=17),
    ]
    assert report.messages == {
        "email": {"queued": 50},
        "sms": {"queued": 41},
        "push": {"queued": 8},
    }


def test_an_earlier_tick_has_the_numbers_of_its_time(world: ProgramWorld) -> None:
    by_hand(world)
    [report] = reports(world, "03-04 02:30")
    row = report.row
    assert (row.entered, row.active, row.completed, row.exited) == (50, 17, 30, 3)
    standing = {step.name: (step.arrived, step.standing) for step in report.steps}
    assert standing["link"] == (20, 17)
    assert standing["text"] == (30, 0)
    assert report.messages["sms"] == {"queued": 29}
    assert reports(world, "03-02 09:59") == []


def test_days_are_those_of_the_reporting_zone_with_the_events_counted(world: ProgramWorld) -> None:
    program = world.program([MAIL, PAUSE])
    world.enrol(program, world.contacts(2), at("03-02 23:30"))
    count(world, program, "2026-03-04", sent=9, opened=5, clicked=3)
    [report] = reports(world, "03-05 02:30", "Europe/Berlin")
    assert report.days == [
        Day(at("03-03 00:00").date(), entered=2),
        Day(at("03-04 00:00").date(), sent=9, opened=5, clicked=3),
    ]


def test_only_the_most_frequent_reasons_are_named(world: ProgramWorld) -> None:
    program = world.program([MAIL])
    contacts = world.contacts(8)
    world.enrol(program, contacts, at("03-02 10:00"))
    world.execute(
        "insert into lifecycle.step_results (enrolment_id, step_id, outcome, reason, at)"
        " select enrolment.id, step.id, 'failed', 'r' || greatest(enrolment.id, 3), :at"
        " from lifecycle.enrolments as enrolment cross join lifecycle.steps as step",
        at=at("03-02 10:05"),
    )
    world.execute(
        "update lifecycle.enrolments set status = 'failed', failed_at = :at", at=at("03-02 10:05")
    )
    [report] = reports(world)
    assert report.steps[0].reasons == [
        ("failed", "r3", 3),
        ("failed", "r4", 1),
        ("failed", "r5", 1),
        ("failed", "r6", 1),
        ("failed", "r7", 1),
        ("failed", "other reasons", 1),
    ]


def test_campaigns_under_way_or_with_activity_on_the_shown_days_are_reported(
    world: ProgramWorld,
) -> None:
    contacts = world.contacts(1)
    for name, status in (
        ("a-active", "active"),
        ("b-paused", "paused"),
        ("c-draft", "draft"),
        ("d-cancelled", "cancelled"),
        ("e-completed", "active"),
        ("f-long-completed", "active"),
    ):
        world.enrol(world.program([MAIL], name=name, status=status), contacts, at("01-02 10:00"))
    world.program([MAIL], name="g-empty")
    done = (
        "update campaigns.campaigns set status = 'completed', completed_at = :at"
        " where external_id = :name"
    )
    world.execute(done, name="e-completed", at=at("01-05 00:00"))
    world.execute(done, name="f-long-completed", at=at("01-04 23:59:59"))
    for name, day, opened in (
        ("h-imported", "2026-01-05", 1),
        ("i-before", "2026-01-04", 1),
        ("j-today", "2026-03-06", 1),
        ("k-zeros", "2026-03-05", 0),
    ):
        count(world, world.program([], name=name, status="imported"), day, opened=opened)
    assert [report.row.external_id for report in reports(world)] == [
        "a-active",
        "b-paused",
        "e-completed",
        "h-imported",
    ]


def test_a_campaign_without_steps_shows_what_its_events_say(
    installation: Installation, world: ProgramWorld, folder: Path
) -> None:
    program = world.program([], status="imported")
    count(world, program, "2026-03-04", sent=200, opened=50)
    count(world, program, "2026-03-05", opened=4, clicked=5)
    assert run(installation) == ("COMPLETED", 1)
    said = text_of(folder / "acme" / "welcome.html")
    assert (
        "Entered 0 Active 0 – Completed 0 – Exited 0 – Failed 0 – Messages of the last 60 days"
        " Sent 200 100.0% Opened 54 27.0% Clicked 5 2.5%" in said
    )
    assert "The campaign has no steps here" in said
    assert "step" not in said.replace("The campaign has no steps here", "")
    assert "by channel and state" not in said
    index = text_of(folder / "index.html")
    assert index.endswith("0 0 0 0 0 200 54 5")
    assert "funnel" not in metadata(installation)


def test_a_report_says_what_was_counted(
    installation: Installation, world: ProgramWorld, folder: Path
) -> None:
    by_hand(world)
    assert run(installation) == ("COMPLETED", 1)
    assert sorted(files(folder)) == ["acme/welcome.html", "index.html"]
    said = text_of(folder / "acme" / "welcome.html")
    assert "welcome active Campaign welcome · started 2026-03-02 09:00" in said
    assert "as of 2026-03-06 02:30 (UTC)" in said
    assert (
        "Entered 50 Active 0 0.0% Completed 42 84.0% Exited 8 16.0% Failed 0 0.0% Who came" in said
    )
    assert "link wait for 20 40.0% text send sms 42 84.0%" in said
    assert "opened 50 20 30 0 0 0 link 20 8 12 0 0 0 text 42 41 1 0 0 1 skipped: no address" in said
    assert "2026-03-05 0 0 0 0 17" in said
    assert "Messages by channel and state Channel All Queued email 50 50 push 8 8 sms 41 41" in said
    index = text_of(folder / "index.html")
    assert index.endswith(
        "acme Campaign Status Started Entered Active Completed Exited Failed"
        " Sent Opened Clicked welcome active 2026-03-02 09:00 50 0 42 8 0 0 0 0"
    )
    assert '<a href="acme/welcome.html">welcome</a>' in (folder / "index.html").read_text()


def test_two_runs_for_one_tick_write_the_same_bytes(
    installation: Installation, world: ProgramWorld, folder: Path
) -> None:
    by_hand(world)
    run(installation)
    first = files(folder)
    world.enrol(1, world.contacts(5), at("03-06 02:31"))
    run(installation)
    assert files(folder) == first
    run(installation, "2026-03-07T02:30:00+00:00")
    assert files(folder) != first


def test_what_people_put_into_names_is_text(
    installation: Installation, world: ProgramWorld, folder: Path
) -> None:
    hostile = """<script>alert("1")</script> & '$\\frac{$' | `x` {{ 7 * 7 }}"""
    steps = [(hostile, "exit", {"reason": "<img src=x onerror=alert(1)>"})]
    program = world.program(steps, name=hostile)
    world.execute("update crm.organizations set name = :name", name=hostile)
    world.execute("update campaigns.campaigns set name = :name", name=hostile)
    world.enrol(program, world.contacts(1), at("03-02 10:00"))
    world.move(at("03-02 10:05"))
    assert run(installation) == ("COMPLETED", 1)
    [page] = (folder / "acme").iterdir()
    for said in (text_of(page), text_of(folder / "index.html")):
        assert hostile in said
    assert "1 exited: <img src=x onerror=alert(1)>" in text_of(page)
    assert not re.search("<script|<img", page.read_text() + (folder / "index.html").read_text())
    shown = metadata(installation)["campaigns"].value
    assert hostile.replace("|", "\\|") in shown


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("welcome-2026_b", "welcome-2026_b"),
        ("../x", "x-"),
        ("a/b", "a-b-"),
        ("..", "name-"),
        ("", "name-"),
        ("Welcome", "welcome-"),
        ("welcome.html", "welcome-html-"),
        ("-rf", "rf-"),
        ("ä" * 3000, "name-"),
        ("x" * 3000, "x" * 80 + "-"),
        ("a\nb", "a-b-"),
        ("welcome-0123456789abcdef", "welcome-0123456789abcdef-"),
    ],
)
def test_names_are_safe_for_a_file_system_and_differ(name: str, safe: str) -> None:
    made = safe_name(name)
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    assert made == (safe if safe == name else safe + digest)
    # The file name made of a name is another name.
    assert safe_name(made) == made if made == name else safe_name(made) != made


def test_reports_stay_in_their_folder_whatever_the_names(
    installation: Installation, world: ProgramWorld, folder: Path
) -> None:
    contacts = world.contacts(1)
    world.execute("update crm.organizations set external_id = '../../acme'")
    for name in ("../x", "a/b", "y" * 2000, "index", "INDEX"):
        world.enrol(world.program([MAIL], name=name), contacts, at("03-02 10:00"))
    assert run(installation) == ("COMPLETED", 5)
    [organization] = [path for path in folder.iterdir() if path.is_dir()]
    assert organization.name.startswith("acme-")
    made = {path.name for path in organization.iterdir()}
    assert {re.sub("-[0-9a-f]{16}", "-#", name) for name in made} == {
        "x-#.html",
        "a-b-#.html",
        f"{'y' * 80}-#.html",
        "index.html",
        "index-#.html",
    }
    links = re.findall('href="([^"]+)"', (folder / "index.html").read_text())
    assert sorted(links) == sorted(f"{organization.name}/{name}" for name in made)
    assert [path.name for path in folder.parent.iterdir()] == ["campaigns"]


def test_a_campaign_that_fails_does_not_stop_the_others(
    installation: Installation, world: ProgramWorld, folder: Path
) -> None:
    contacts = world.contacts(1)
    for name in ("bad", "good"):
        world.enrol(world.program([MAIL], name=name), contacts, at("03-02 10:00"))
    # A folder stands at the place of its report.
    (folder / "acme" / "bad.html" / "x").mkdir(parents=True)
    assert run(installation) == ("COMPLETED", 1)
    assert (folder / "acme" / "good.html").is_file()
    [(item, error)] = installation.rows("select item, error from ops.item_failures")
    assert item == "campaign bad of acme"
    assert error.endswith("cannot be read or written (Is a directory): check MARKETING_DATA_DIR.")
    index = (folder / "index.html").read_text()
    assert "bad <span" in index
    assert "(the report could not be written)" in index
    assert '<a href="acme/good.html">good</a>' in index


def test_the_asset_shows_the_campaigns_the_index_and_the_largest_funnel(
    installation: Installation, world: ProgramWorld, folder: Path
) -> None:
    by_hand(world)
    small = world.program([MAIL, PAUSE], name="small", started_at=at("03-05 09:00"))
    world.enrol(small, [1], at("03-05 10:00"))
    run(installation)
    shown = metadata(installation)
    assert shown["campaigns"].value.splitlines()[2:] == [
        "| welcome | 50 | 0 | 42 | 8 | 0 | active | acme |",
        "| small | 1 | 1 | 0 | 0 | 0 | active | acme |",
    ]
    assert shown["index"].value == str(folder / "index.html")
    assert shown["funnel"].value.startswith("![funnel](data:image/svg+xml;base64,")


def test_without_campaigns_the_index_says_so(installation: Installation, folder: Path) -> None:
    assert run(installation) == ("COMPLETED", 0)
    assert text_of(folder / "index.html").endswith("No campaign had any activity.")
    assert "funnel" not in metadata(installation)


@pytest.mark.parametrize(
    ("largest", "labels"),
    [
        (0, ["0", "1", "2", "3", "4"]),
        (4, ["0", "1", "2", "3", "4"]),
        (5, ["0", "2", "4", "6", "8"]),
        (81, ["0", "25", "50", "75", "100"]),
        (7_000, ["0", "2,000", "4,000", "6,000", "8,000"]),
    ],
)
def test_the_axis_of_a_chart_has_round_numbers(largest: int, labels: list[str]) -> None:
    chart = line_chart("Messages", [("sent", [at("03-02 00:00").date()], [largest])])
    assert [label for _, label in chart.rules] == labels
    assert [point[2] for point in chart.lines[0].points] == [f"2026-03-02: {largest:,} sent"]


def metadata(installation: Installation) -> dict[str, dg.MetadataValue]:
    """The metadata of the latest run on the asset's page."""
    event = installation.instance.get_latest_materialization_event(dg.AssetKey(JOB.split("/")))
    assert event is not None
    assert event.asset_materialization is not None
    return dict(event.asset_materialization.metadata)
