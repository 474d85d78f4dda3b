"""Dates of contacts let them in on their local day, once a day, read as rules read dates."""

import datetime as dt
import json
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from marketing_pipelines.domains.journeys import date_entries
from marketing_pipelines.domains.journeys.enrolling import read_sql
from marketing_pipelines.domains.journeys.entries import Begun, start_due
from marketing_pipelines_tests.installation import instant
from marketing_pipelines_tests.journeys.passes import failures, items
from marketing_pipelines_tests.journeys.test_event_entries import happen
from marketing_pipelines_tests.programs import Programs

UTC = ZoneInfo("UTC")


class Dated:
    """A journey that is entered by a date of the contact."""

    def __init__(
        self, programs: Programs, policy: str = "once", started: str = "2026-03-01", **config: Any
    ) -> None:
        self.programs = programs
        self.journey = programs.program("journey", "dated", started_at=instant(f"{started}T00:00Z"))
        config = {"attribute": "due"} | config
        self.trigger = programs.trigger(
            "journey", self.journey, "date", config=config, policy=policy
        )

    def contact(self, name: str, due: Any, **columns: Any) -> None:
        self.programs.contact(name, attributes=json.dumps({"due": due}), **columns)

    def start(self, at: str) -> int:
        return start(self.programs, at)

    @property
    def entered(self) -> list[tuple[str, int, str | None]]:
        return self.programs.entered("journey", self.journey)


def entries(programs: Programs, at: str) -> date_entries.DateEntries:
    tick = instant(at)
    begin = programs.installation.engine.begin
    return date_entries.start_by_dates(begin, tick, UTC, items(tick).attempts)


def start(programs: Programs, at: str) -> int:
    return entries(programs, at).begun


def test_a_contact_enters_on_its_day_and_not_before(programs: Programs) -> None:
    dated = Dated(programs)
    dated.contact("ann", "2026-03-05")
    dated.contact("bob", "2026-03-06")
    assert [dated.start(at) for at in ("2026-03-04T23:55Z", "2026-03-05T00:00Z")] == [0, 1]
    assert dated.entered == [("ann", 1, "2026-03-05")]
    assert dated.start("2026-03-05T23:55Z") == 0
    assert dated.start("2026-03-06T00:00Z") == 1


def test_days_before_and_a_time_of_day_move_the_entry(programs: Programs) -> None:
    dated = Dated(programs, days_before=7, at="09:30")
    dated.contact("ann", "2026-03-12")
    moments = ("2026-03-05T00:00Z", "2026-03-05T09:29Z", "2026-03-05T09:30Z", "2026-03-06T10:00Z")
    assert [dated.start(at) for at in moments] == [0, 0, 1, 0]
    assert dated.entered == [("ann", 1, "2026-03-05")]


def test_negative_days_before_are_days_after(programs: Programs) -> None:
    dated = Dated(programs, days_before=-2)
    dated.contact("ann", "2026-03-05")
    assert [dated.start(f"2026-03-{day}T00:00Z") for day in ("05", "06", "07")] == [0, 0, 1]


def test_the_day_is_that_of_the_organization(programs: Programs) -> None:
    programs.organization = programs.new_organization("down under", timezone="Australia/Sydney")
    dated = Dated(programs)
    dated.contact("ann", "2026-03-05")
    assert [dated.start(at) for at in ("2026-03-04T12:59Z", "2026-03-04T13:00Z")] == [0, 1]
    assert dated.entered == [("ann", 1, "2026-03-05")]


ZONES = {
    "Pacific/Auckland": "2026-03-04T20:00Z",
    "Asia/Kathmandu": "2026-03-05T03:15Z",
    "Europe/Berlin": "2026-03-05T08:00Z",
    "America/New_York": "2026-03-05T14:00Z",
    # Unknown and none: the organization's.
    "Mars/Olympus": "2026-03-05T08:00Z",
    None: "2026-03-05T08:00Z",
}


@pytest.mark.parametrize("config", [{}, {"yearly": True}], ids=["once", "yearly"])
def test_the_day_and_its_time_are_those_of_the_contact(
    programs: Programs, config: dict[str, Any]
) -> None:
    programs.organization = programs.new_organization("berlin", timezone="Europe/Berlin")
    dated = Dated(programs, at="09:00", **config)
    for zone in ZONES:
        dated.contact(str(zone), "2026-03-05", timezone=zone)
    seen: dict[str, str] = {}
    for at in sorted(set(ZONES.values())):
        just_before = f"{instant(at) - dt.timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
        for moment in (just_before, at):
            dated.start(moment)
            seen |= {name: moment for name, _, _ in dated.entered if name not in seen}
    assert seen == {str(zone): at for zone, at in ZONES.items()}


def test_an_instant_is_read_in_the_zone_of_its_contact(programs: Programs) -> None:
    dated = Dated(programs)
    dated.contact("ann", "2026-03-05T23:30:00Z", timezone="Europe/Berlin")
    dated.contact("bob", "2026-03-05T23:30:00Z", timezone="America/New_York")
    dated.start("2026-03-07T00:00Z")
    assert dated.entered == [("ann", 1, "2026-03-06"), ("bob", 1, "2026-03-05")]


def test_days_of_all_zones_are_caught_up_once(programs: Programs) -> None:
    dated = Dated(programs, "each_entry", at="09:00", yearly=True)
    for zone in ZONES:
        dated.contact(str(zone), "2026-03-05", timezone=zone)
    assert dated.start("2026-03-05T07:00Z") == 2
    assert dated.start("2026-03-08T00:00Z") == 4
    assert dated.start("2026-03-09T00:00Z") == 0


def test_values_that_are_no_dates_are_counted(programs: Programs) -> None:
    dated = Dated(programs)
    for name, due in {
        "ann": "2026-03-05",
        "bob": "5.3.2026",
        "cid": 20260305,
        "dan": "2026-02-30",
        "none": None,
        "empty": "",
    }.items():
        dated.contact(name, due, timezone="Asia/Tokyo" if name == "dan" else None)
    found = entries(programs, "2026-03-05T00:00Z")
    assert found.begun == 1
    assert found.not_dates == {f"trigger date {dated.journey} of journey dated of acme": 3}
    assert entries(programs, "2026-03-05T00:05Z").not_dates == {}


def test_a_birthday_comes_every_year_and_on_the_28th_where_there_is_no_29_february(
    programs: Programs,
) -> None:
    dated = Dated(programs, "each_entry", started="2027-01-01", yearly=True)
    dated.contact("leap", "2000-02-29")
    dated.contact("ann", "1990-03-01")
    for day in ("2027-02-28", "2027-03-01", "2028-02-28", "2028-02-29", "2028-03-01"):
        dated.start(f"{day}T08:00Z")
    assert dated.entered == [
        ("ann", 1, "2027-03-01"),
        ("ann", 2, "2028-03-01"),
        ("leap", 1, "2027-02-28"),
        ("leap", 2, "2028-02-29"),
    ]


def test_the_day_of_a_birthday_counts_back_over_the_turn_of_the_year(programs: Programs) -> None:
    dated = Dated(programs, yearly=True, days_before=3)
    dated.contact("ann", "1990-01-02")
    assert dated.start("2026-12-30T08:00Z") == 1


def test_once_is_once_ever(programs: Programs) -> None:
    dated = Dated(programs, yearly=True)
    dated.contact("ann", "1990-03-05")
    assert [dated.start(f"{year}-03-05T00:00Z") for year in (2026, 2027)] == [1, 0]


def test_a_day_is_evaluated_once(programs: Programs) -> None:
    dated = Dated(programs)
    dated.contact("ann", "2026-03-05")
    dated.start("2026-03-05T00:00Z")
    dated.contact("late", "2026-03-05")
    assert [dated.start(f"2026-03-05T{hour:02}:00Z") for hour in (0, 1, 23)] == [0, 0, 0]


def test_up_to_seven_days_that_were_missed_are_caught_up(programs: Programs) -> None:
    dated = Dated(programs)
    for day in range(1, 13):
        dated.contact(f"c{day:02}", f"2026-03-{day:02}")
    dated.start("2026-03-01T00:00Z")
    dated.start("2026-03-12T00:00Z")
    assert [entry for _, _, entry in dated.entered] == [
        "2026-03-01",
        *(f"2026-03-{day:02}" for day in range(6, 13)),
    ]


def test_the_day_of_the_activation_counts_and_none_before(programs: Programs) -> None:
    dated = Dated(programs, started="2026-03-05")
    for day in ("04", "05", "06"):
        dated.contact(f"c{day}", f"2026-03-{day}")
    dated.start("2026-03-06T12:00Z")
    assert [name for name, _, _ in dated.entered] == ["c05", "c06"]


def test_a_paused_journey_waits_and_catches_up(programs: Programs) -> None:
    dated = Dated(programs)
    dated.contact("ann", "2026-03-05")
    dated.start("2026-03-04T00:00Z")
    programs.set_status("journey", dated.journey, "paused")
    assert dated.start("2026-03-05T00:00Z") == 0
    programs.set_status("journey", dated.journey, "active")
    assert dated.start("2026-03-06T00:00Z") == 1


@pytest.mark.parametrize(
    ("day", "at", "moments"),
    [
        ("2026-03-29", "02:30", {"2026-03-29T01:29Z": 0, "2026-03-29T01:30Z": 1}),
        ("2026-10-25", "02:30", {"2026-10-25T00:29Z": 0, "2026-10-25T00:30Z": 1}),
    ],
    ids=["a time that does not exist", "a time that exists twice"],
)
def test_a_change_of_clocks_starts_a_contact_once(
    programs: Programs, day: str, at: str, moments: dict[str, int]
) -> None:
    programs.organization = programs.new_organization("berlin", timezone="Europe/Berlin")
    dated = Dated(programs, "each_entry", at=at)
    dated.contact("ann", day)
    assert {moment: dated.start(moment) for moment in moments} == moments
    assert dated.start(f"{day}T20:00Z") == 0


def test_a_trigger_that_cannot_be_used_says_why_and_stops_no_other(programs: Programs) -> None:
    dated = Dated(programs)
    dated.contact("ann", "2026-03-05")
    for name, config in {
        "1": {"attribute": "nothing"},
        "2": {"attribute": "due", "days": 3},
        "3": {"attribute": "intent_score"},
    }.items():
        programs.trigger("journey", dated.journey, "date", external_id=name, config=config)
    assert dated.start("2026-03-05T00:00Z") == 1
    assert {item.split()[1]: error for item, _, error in failures(programs)} == {
        "1": "attribute: no contact has or has had 'nothing'.",
        "2": "days: is an unknown key: use attribute, days_before, yearly, at.",
        "3": "op: intent_score holds numbers: compare it with =, >, <, in or between.",
    }


def test_two_passes_at_once_start_each_once(programs: Programs) -> None:
    dated = Dated(programs, "each_entry")
    dated.contact("ann", "2026-03-05")
    tick = instant("2026-03-05T00:00Z")
    with programs.installation.engine.begin() as one:
        held = one.execute(read_sql("lock_trigger"), {"id": dated.trigger}).one_or_none()
        assert date_entries.evaluate(one, held, tick, UTC).begun == 1
        assert dated.start("2026-03-05T00:00Z") == 0
    assert dated.start("2026-03-05T00:00Z") == 0


def test_events_and_dates_are_started_before_a_pass(programs: Programs) -> None:
    dated = Dated(programs)
    dated.contact("ann", "2026-03-05")
    programs.trigger("journey", dated.journey, "event", event_type="signed_up")
    tick = instant("2026-03-05T08:00Z")
    happen(programs, "e1", "bob", instant("2026-03-05T07:59Z"))
    begin = programs.installation.engine.begin
    assert start_due(begin, tick, UTC, items(tick).attempts) == Begun(by_events=1, by_dates=1)
    assert start_due(begin, tick, UTC, items(tick).attempts) == Begun(by_events=0, by_dates=0)
    assert dated.entered == [("ann", 1, "2026-03-05"), ("bob", 1, "e1")]


def test_a_pass_says_how_many_events_and_values_let_nobody_in(programs: Programs) -> None:
    dated = Dated(programs)
    dated.contact("ann", "5.3.2026")
    event = programs.trigger("journey", dated.journey, "event", event_type="signed_up")
    programs.installation.execute("update lifecycle.triggers set external_id = type")
    assert event != dated.trigger
    tick = instant("2026-03-05T08:00Z")
    happen(programs, "e1", "bob", instant("2026-03-01T08:00Z"), age=dt.timedelta(hours=73))
    happen(programs, "e2", "bob", instant("2026-03-01T08:00Z"), age=dt.timedelta(hours=72))
    programs.installation.run("journeys/step_progress", at=tick)
    event_log = programs.installation.instance.get_latest_materialization_event(
        dg.AssetKey(["journeys", "step_progress"])
    )
    assert event_log is not None
    assert event_log.asset_materialization is not None
    metadata = event_log.asset_materialization.metadata
    assert {
        name: metadata[name].value
        for name in ("begun_by_events", "begun_by_dates", "events_left_out", "not_dates")
    } == {"begun_by_events": 1, "begun_by_dates": 0, "events_left_out": 1, "not_dates": 1}
    of = "of journey dated of acme"
    assert f"| trigger event {of} | 1 |" in str(metadata["events_left_out_by_trigger"].value)
    assert f"| trigger date {of} | 1 |" in str(metadata["not_dates_by_trigger"].value)
