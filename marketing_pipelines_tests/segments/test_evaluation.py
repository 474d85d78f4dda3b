"""Segments are evaluated: in full or for those whom something touched, with the same result."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from marketing_pipelines.domains.segments.rebuild import count_anew
from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.scale import SOAK

NOW = instant("2026-03-10T12:00Z")
HOUR = dt.timedelta(hours=1)


class Segments:
    """One organization whose segments are loaded, evaluated and looked at."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.folder = folder
        self.events = 0

    def contacts(self, *rows: dict[str, Any]) -> None:
        self._load("contacts", [{"organization_id": "acme"} | row for row in rows])

    def rule(self, segment: str, rule: Any, **others: Any) -> None:
        row = {"external_id": segment, "organization_id": "acme", "rule": rule}
        self._load("segments", [row | others])

    def manual(self, segment: str, contact: str, action: str) -> None:
        row = {"organization_id": "acme", "segment": segment}
        self._load("segment_members", [row | {"contact_id": contact, "action": action}])

    def event(self, contact: str, kind: str, at: str, **others: Any) -> None:
        self.events += 1
        row = {"event_id": f"e{self.events}", "contact_id": contact, "event_type": kind}
        self.installation.load_events(self.folder, [row | {"occurred_at": at} | others])

    def evaluate(self, at: dt.datetime = NOW) -> Any:
        [outcome] = self.installation.run("segments/memberships", at=at)
        return outcome

    def members(self, name: str) -> list[str]:
        return [
            row[0]
            for row in self.installation.rows(
                "select contact.external_id from segments.memberships"
                " join segments.segments as segment on segment.id = segment_id"
                " join crm.contacts as contact on contact.id = contact_id"
                " where segment.external_id = :name and left_at is null order by 1",
                name=name,
            )
        ]

    def _load(self, kind: str, rows: list[dict[str, Any]]) -> None:
        path = self.folder / f"{kind}-{len(list(self.folder.iterdir()))}.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        result = self.installation.load(kind, path)
        assert not result.rejected, path.with_name(path.name + ".rejects.csv").read_text()

    def moves(self, name: str) -> list[tuple[str, str, str | None]]:
        """Every membership there was: contact, from, to."""
        return self.installation.rows(
            "select contact.external_id, to_char(entered_at, 'DD HH24:MI'),"
            " to_char(left_at, 'DD HH24:MI') from segments.memberships"
            " join segments.segments as segment on segment.id = segment_id"
            " join crm.contacts as contact on contact.id = contact_id"
            " where segment.external_id = :name order by 1, 2",
            name=name,
        )

    def told(self) -> list[tuple[str, str]]:
        """The published bus events: type and contact."""
        return self.installation.rows(
            "select type, external_id from ops.bus_events as event"
            " join crm.contacts as contact on contact.id = contact_id"
            " where type like 'segment.%' order by event.id"
        )


@pytest.fixture
def installation(emptied: Installation) -> Installation:
    """That of the file: its tests change rows alone."""
    return emptied


@pytest.fixture
def segments(installation: Installation, tmp_path: Path) -> Segments:
    return Segments(installation, tmp_path)


IN_BERN = {"attribute": "city", "op": "=", "value": "Bern"}
OPENED_IN_A_DAY = {"event": "opened", "within": "1d"}


def test_a_rule_becomes_members(segments: Segments) -> None:
    segments.contacts({"external_id": "ann", "city": "Bern"}, {"external_id": "bob"})
    segments.rule("bernese", IN_BERN)
    segments.evaluate()
    assert segments.members("bernese") == ["ann"]


def test_those_put_in_and_taken_out_by_hand_win_over_the_rule(segments: Segments) -> None:
    segments.contacts({"external_id": "ann", "city": "Bern"}, {"external_id": "bob"})
    segments.rule("bernese", IN_BERN)
    segments.manual("bernese", "ann", "remove")
    segments.manual("bernese", "bob", "add")
    segments.evaluate()
    assert segments.members("bernese") == ["bob"]
    segments.manual("bernese", "ann", "clear")
    segments.manual("bernese", "bob", "clear")
    segments.evaluate(NOW + HOUR)
    assert segments.members("bernese") == ["ann"]


def test_manual_members_of_a_segment_that_nobody_defined_are_its_members(
    segments: Segments,
) -> None:
    segments.manual("friends", "ann", "add")
    segments.evaluate()
    assert segments.members("friends") == ["ann"]


def test_a_window_that_slides_lets_contacts_go_without_a_new_event(segments: Segments) -> None:
    segments.rule("active", OPENED_IN_A_DAY)
    segments.event("ann", "opened", "2026-03-10T10:00:00Z")
    segments.event("bob", "opened", "2026-03-10T11:30:00Z")
    segments.evaluate()
    assert segments.members("active") == ["ann", "bob"]
    segments.evaluate(NOW + 23 * HOUR)
    assert segments.members("active") == ["bob"]
    assert segments.moves("active") == [
        ("ann", "10 12:00", "11 11:00"),
        ("bob", "10 12:00", None),
    ]


def test_leaving_and_returning_is_a_new_membership_and_both_are_told(segments: Segments) -> None:
    segments.rule("active", OPENED_IN_A_DAY)
    segments.event("ann", "opened", "2026-03-10T11:00:00Z")
    segments.event("bob", "sent", "2026-03-10T11:00:00Z")
    segments.evaluate()
    segments.evaluate(NOW + 24 * HOUR)
    segments.event("ann", "opened", "2026-03-11T13:00:00Z")
    segments.evaluate(NOW + 26 * HOUR)
    assert segments.moves("active") == [("ann", "10 12:00", "11 12:00"), ("ann", "11 14:00", None)]
    # The first evaluation found ann there: she did not enter.
    assert segments.told() == [("segment.left", "ann"), ("segment.entered", "ann")]


def test_the_same_tick_again_changes_nothing(segments: Segments) -> None:
    segments.rule("active", OPENED_IN_A_DAY)
    segments.event("ann", "opened", "2026-03-10T11:00:00Z")
    segments.evaluate()
    before = segments.moves("active")
    segments.evaluate()
    assert segments.moves("active") == before
    assert segments.told() == []


def test_an_earlier_tick_does_not_take_members_back(segments: Segments) -> None:
    segments.rule("active", OPENED_IN_A_DAY)
    segments.event("ann", "opened", "2026-03-10T11:00:00Z")
    segments.evaluate()
    segments.evaluate(NOW - 3 * HOUR)
    assert segments.members("active") == ["ann"]


def test_segments_are_evaluated_after_those_they_refer_to(segments: Segments) -> None:
    segments.contacts({"external_id": "ann", "city": "Bern"}, {"external_id": "bob"})
    segments.rule("others", {"not": {"segment": "bernese"}})
    segments.rule("bernese", IN_BERN)
    segments.evaluate()
    assert segments.members("others") == ["bob"]
    segments.contacts({"external_id": "ann", "city": "Bonn"})
    segments.evaluate(NOW + HOUR)
    assert segments.members("others") == ["ann", "bob"]


@pytest.mark.parametrize(
    "use",
    [
        "insert into lifecycle.steps (organization_id, program_kind, program_id, external_id,"
        " position, type, config) select organization_id, 'campaign', id, 'fork', 1, 'branch',"
        """ '{"rule": {"all": [{"not": {"segment": "bernese"}}]}}' from campaigns.campaigns""",
        "insert into lifecycle.triggers (organization_id, program_kind, program_id, external_id,"
        " type, segment_id) select c.organization_id, 'campaign', c.id, 'in', 'segment', s.id"
        " from campaigns.campaigns as c, segments.segments as s",
    ],
    ids=["branch", "trigger"],
)
def test_a_segment_on_use_is_evaluated_while_an_active_program_names_it(
    segments: Segments, use: str
) -> None:
    segments.contacts({"external_id": "c1", "city": "Bern"})
    segments.rule("bernese", IN_BERN, evaluated="on_use")
    run = segments.installation.execute
    run(
        "insert into campaigns.campaigns (organization_id, external_id, status)"
        " select id, 'k', 'active' from crm.organizations"
    )
    segments.evaluate()
    assert segments.members("bernese") == []
    run(use)
    segments.evaluate(NOW + HOUR)
    assert segments.members("bernese") == ["c1"]
    run("update campaigns.campaigns set status = 'paused'")
    run("""update crm.contacts set attributes = '{"city": "Lyon"}'""")
    segments.evaluate(NOW + 2 * HOUR)
    assert segments.members("bernese") == ["c1"]


def test_a_segment_on_use_is_evaluated_while_another_refers_to_it(segments: Segments) -> None:
    segments.contacts({"external_id": "ann", "city": "Bern"})
    segments.rule("bernese", IN_BERN, evaluated="on_use")
    segments.evaluate()
    assert segments.members("bernese") == []
    segments.rule("all of them", {"segment": "bernese"})
    segments.evaluate(NOW + HOUR)
    assert segments.members("bernese") == ["ann"]


def test_days_are_those_of_the_organization(segments: Segments) -> None:
    (segments.folder / "o.csv").write_text("external_id,timezone\nacme,Pacific/Auckland\n")
    segments.installation.load("organizations", segments.folder / "o.csv")
    segments.rule("today", {"event": "opened", "since": "today"})
    segments.event("ann", "opened", "2026-03-10T10:59:00Z")
    segments.event("bob", "opened", "2026-03-10T11:00:00Z")
    segments.evaluate()
    assert segments.members("today") == ["bob"]


def test_another_zone_makes_everybody_be_looked_at(segments: Segments) -> None:
    segments.rule("today", {"event": "opened", "since": "today"})
    segments.event("ann", "opened", "2026-03-10T10:59:00Z")
    segments.evaluate()
    assert segments.members("today") == ["ann"]
    segments.installation.execute("update crm.organizations set timezone = 'Pacific/Auckland'")
    segments.evaluate(NOW + HOUR)
    assert segments.members("today") == []


def test_a_deleted_contact_and_a_corrected_event_are_seen(segments: Segments) -> None:
    segments.rule("active", OPENED_IN_A_DAY)
    segments.event("ann", "opened", "2026-03-10T11:00:00Z", received_at="2026-03-10T11:00:00Z")
    segments.contacts({"external_id": "eve"})
    segments.rule("everybody", {"all": []})
    segments.evaluate()
    correction = {"event_id": "e1", "contact_id": "bob", "event_type": "opened"}
    instants = {"occurred_at": "2026-03-10T10:59:00Z", "received_at": "2026-03-10T10:59:00Z"}
    segments.installation.load_events(segments.folder, [correction | instants])
    segments.installation.execute("delete from crm.contacts where external_id = 'eve'")
    segments.evaluate(NOW + HOUR)
    assert segments.members("active") == ["bob"]
    assert segments.members("everybody") == ["ann", "bob"]
    current = "select count(*) from segments.memberships where left_at is null"
    assert segments.installation.rows(current) == [(3,)]


def test_only_touched_contacts_are_looked_at_unless_the_rule_changed(segments: Segments) -> None:
    segments.rule("active", OPENED_IN_A_DAY)
    segments.rule("bernese", {"attribute": "email", "op": "exists"})
    segments.event("ann", "opened", "2026-03-10T11:00:00Z")
    assert numbers(segments, NOW)["in_full"] == 2
    segments.event("bob", "opened", "2026-03-10T11:00:00Z")
    assert numbers(segments, NOW + HOUR) == {"segments": 2, "in_full": 0, "entered": 1}
    assert numbers(segments, NOW + HOUR) == {"segments": 0, "in_full": 0, "entered": 0}
    segments.rule("active", {"event": "opened", "within": "2d"})
    assert numbers(segments, NOW + HOUR) == {"segments": 1, "in_full": 1, "entered": 0}


def numbers(segments: Segments, at: dt.datetime) -> dict[str, Any]:
    """The metadata of an evaluation in the Dagster UI."""
    segments.evaluate(at)
    event = segments.installation.instance.get_latest_materialization_event(
        dg.AssetKey(["segments", "memberships"])
    )
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    return {name: metadata[name].value for name in ("segments", "in_full", "entered")}


def test_one_organizations_broken_zone_stops_no_other(segments: Segments) -> None:
    segments.contacts({"external_id": "ann", "city": "Bern"})
    segments.rule("bernese", IN_BERN)
    segments.contacts({"external_id": "zoe", "organization_id": "zenith", "city": "Bern"})
    rule = {"external_id": "zs", "organization_id": "zenith", "rule": IN_BERN}
    segments._load("segments", [rule])
    segments.installation.execute(
        "update crm.organizations set timezone = 'Mars/Olympus' where external_id = 'zenith'"
    )
    outcome = segments.evaluate()
    assert outcome.status == "COMPLETED"
    assert segments.members("bernese") == ["ann"]
    [(item, error)] = segments.installation.rows("select item, error from ops.item_failures")
    assert item == "segment zs of zenith"
    assert "Mars/Olympus" in error


def test_marks_of_organizations_without_segments_are_forgotten(segments: Segments) -> None:
    segments.event("ann", "opened", "2026-03-10T11:00:00Z")
    segments.evaluate()
    assert segments.installation.rows("select count(*) from segments.touched_contacts") == [(0,)]


def test_sizes_entries_exits_and_overlaps_are_counted_by_day(segments: Segments) -> None:
    segments.rule("active", OPENED_IN_A_DAY)
    segments.rule("everybody", {"all": []})
    segments.event("ann", "opened", "2026-03-10T11:00:00Z")
    segments.evaluate()
    segments.event("bob", "opened", "2026-03-10T20:00:00Z")
    segments.evaluate(instant("2026-03-10T21:00Z"))
    segments.evaluate(instant("2026-03-11T12:00Z"))
    segments.installation.run("segments/daily_sizes", "2026-03-09", "2026-03-12")
    sizes = (
        "select external_id, to_char(date, 'DD'), members, entered, exited"
        " from segments.daily_sizes join segments.segments on id = segment_id order by 1, 2"
    )
    counted = segments.installation.rows(sizes)
    assert counted == [
        ("active", "10", 2, 2, 0),
        ("active", "11", 1, 0, 1),
        ("active", "12", 1, 0, 0),
        ("everybody", "10", 2, 2, 0),
        ("everybody", "11", 2, 0, 0),
        ("everybody", "12", 2, 0, 0),
    ]
    overlaps = "select to_char(date, 'DD'), members from segments.daily_overlaps order by 1"
    assert segments.installation.rows(overlaps) == [("10", 2), ("11", 1), ("12", 1)]
    segments.installation.run("segments/daily_sizes", "2026-03-10", "2026-03-11")
    assert segments.installation.rows(sizes) == counted


def test_a_tick_that_works_after_its_day_was_counted_has_it_counted_again(
    segments: Segments,
) -> None:
    segments.rule("everybody", {"all": []})
    segments.contacts({"external_id": "ann"})
    segments.evaluate()
    segments.installation.run("segments/daily_sizes", "2026-03-10")
    segments.contacts({"external_id": "bob"})
    segments.evaluate(NOW + HOUR)
    assert [o.job for o in segments.installation.run_marked()].count("segments/daily_sizes") == 1
    sizes = "select members, entered from segments.daily_sizes where date = '2026-03-10'"
    assert segments.installation.rows(sizes) == [(2, 2)]


def test_another_reporting_zone_has_everything_counted_anew(segments: Segments) -> None:
    segments.rule("today", {"event": "opened", "since": "today"})
    segments.event("ann", "opened", "2026-03-10T10:59:00Z")
    segments.evaluate()
    segments.installation.run("segments/daily_sizes", "2026-03-10")
    auckland = segments.installation.settings.model_copy(update={"timezone": "Pacific/Auckland"})
    with segments.installation.engine.begin() as connection:
        count_anew(connection, auckland)
    assert segments.installation.rows("select * from segments.daily_sizes") == []
    marks = "select asset, partition from analytics.stale_partitions where asset like 'segments/%'"
    assert segments.installation.rows(marks) == [("segments/daily_sizes", "2026-03-10")]
    touched = "select contact_ids from segments.touched_contacts"
    assert segments.installation.rows(touched) == [(None,)]


def test_a_rule_about_every_type_counts_old_events_beside_one_that_looks_into_new_ones(
    segments: Segments,
) -> None:
    where = [{"property": "amount", "op": ">", "value": 1}]
    segments.rule("buyers", {"event": "purchase", "where": where, "within": "7d"})
    segments.rule("lively", {"event": "*", "times": 3})
    for day in (1, 2, 3):
        segments.event("ann", "purchase", f"2025-03-0{day}T10:00:00Z", properties={"amount": 5})
    segments.evaluate()
    assert segments.members("lively") == ["ann"]
    segments.contacts({"external_id": "ann", "city": "Bern"})
    segments.evaluate(NOW + HOUR)
    assert segments.members("lively") == ["ann"]


def test_what_rules_count_together_is_right_for_those_without_events_and_those_deleted(
    segments: Segments,
) -> None:
    segments.contacts({"external_id": "cat", "city": "Bern"}, {"external_id": "dan"})
    opened = {"event": "opened"}
    clicked = {"event": "clicked", "within": "7d"}
    rules = {
        "opened": opened,
        "opened today": OPENED_IN_A_DAY,
        "never opened": opened | {"op": "=", "times": 0},
        "clicked": clicked,
        "clicked twice": clicked | {"times": 2, "within": "2d"},
        "opened, not clicked": {"all": [opened, {"not": clicked}]},
        "opened, or in Bern": {"any": [opened, IN_BERN]},
        "of those, not opened": {"all": [{"segment": "opened, or in Bern"}, {"not": opened}]},
    }
    for name, rule in rules.items():
        segments.rule(name, rule)
    segments.event("ann", "opened", "2026-03-10T10:00:00Z")
    segments.event("bob", "opened", "2026-02-10T10:00:00Z")
    segments.event("bob", "clicked", "2026-03-10T10:00:00Z")
    segments.event("eve", "opened", "2026-03-10T10:00:00Z")
    segments.manual("never opened", "ann", "add")
    segments.installation.execute("delete from crm.contacts where external_id = 'eve'")
    segments.evaluate()
    assert {name: segments.members(name) for name in rules} == {
        "opened": ["ann", "bob"],
        "opened today": ["ann"],
        "never opened": ["ann", "cat", "dan"],
        "clicked": ["bob"],
        "clicked twice": [],
        "opened, not clicked": ["ann"],
        "opened, or in Bern": ["ann", "bob", "cat"],
        "of those, not opened": ["cat"],
    }
    assert segments.installation.rows("select count(*) from segments.memberships") == [(12,)]


def test_a_mistake_in_one_segment_does_not_empty_those_that_refer_to_it(
    segments: Segments,
) -> None:
    segments.contacts(*({"external_id": f"c{n}", "city": "Bern"} for n in range(150)))
    segments.rule(
        "customers", {"attribute": "city", "op": "=", "value": "Bonn"}, evaluated="always"
    )
    segments.contacts({"external_id": "zoe", "city": "Bonn"})
    segments.rule("prospects", {"not": {"segment": "customers"}})
    segments.evaluate()
    assert len(segments.members("prospects")) == 150
    segments.rule("customers", {"all": []})
    segments.evaluate(NOW + HOUR)
    assert len(segments.members("customers")) == 151
    assert len(segments.members("prospects")) == 150, "it waits for a confirmation"


def test_a_deleted_segment_has_no_members(segments: Segments) -> None:
    segments.rule("everybody", {"all": []})
    segments.contacts({"external_id": "ann"})
    segments.evaluate()
    segments.installation.execute("delete from segments.segments")
    assert segments.installation.rows("select count(*) from segments.memberships") == [(0,)]


@pytest.mark.soak
def test_a_rule_of_a_thousand_conditions_is_evaluated(segments: Segments) -> None:
    segments.event("ann", "opened", "2026-03-10T10:00:00Z", properties={"n": 7})
    number = 999 if SOAK else 200
    conditions = [
        {"event": "opened", "where": [{"property": "n", "op": "=", "value": n}]}
        for n in range(number)
    ]
    segments.rule("any of many", {"any": conditions})
    assert segments.evaluate().status == "COMPLETED"
    assert segments.installation.rows("select * from ops.item_failures") == []
    assert segments.members("any of many") == ["ann"]


def test_nobody_is_in_a_segment_of_those_not_in_one_that_was_never_evaluated(
    segments: Segments,
) -> None:
    segments.contacts({"external_id": "ann"})
    segments.rule("healthy", {"all": []})
    segments.rule("broken", {"attribute": "nope", "op": "exists"})
    segments.rule("others", {"not": {"segment": "broken"}})
    segments.evaluate()
    assert segments.members("others") == []
    errors = segments.installation.rows("select error from ops.item_failures order by item")
    assert errors[1] == ("not.segment: segment 'broken' was never evaluated.",)


def test_days_before_any_segment_are_counted_without_a_word(segments: Segments) -> None:
    [outcome] = segments.installation.run("segments/daily_sizes", "2026-03-01", "2026-03-02")
    assert (outcome.status, outcome.rows) == ("COMPLETED", 0)
