"""Score rules: what each counts, the sum and its grade, and changed grades."""

import datetime as dt
import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.leads import lead_scores, lead_writing
from marketing_pipelines.domains.leads.score_rules import problem_of
from marketing_pipelines.failures import BadInputError
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.leads.world import DAY, INSTANT, NOW, LeadWorld
from marketing_pipelines_tests.queueing.consuming import consume

UTC = ZoneInfo("UTC")
CLICKED = {"event": "clicked"}


@pytest.fixture
def world(shared_installation: Installation) -> LeadWorld:
    return LeadWorld(shared_installation)


def rule(world: LeadWorld, rule: Any, points: int = 5, name: str = "rule", **columns: Any) -> None:
    given = {"counts": "once", "most": None, "enabled": True} | columns
    world.execute(
        "insert into leads.score_rules"
        " (organization_id, external_id, rule, points, counts, most, enabled)"
        " values (:own, :name, cast(:rule as jsonb), :points, :counts, :most, :enabled)",
        name=name,
        rule=json.dumps(rule),
        points=points,
        **given,
    )


def scores(
    world: LeadWorld, at: dt.datetime = NOW, zone: ZoneInfo = UTC, contacts: Any = None
) -> dict[int, tuple[int, str]]:
    with world.installation.engine.connect() as connection:
        query = lead_scores.scores_at(connection, world.organization, at, zone, contacts)
        return {row.contact_id: (row.score, row.grade) for row in connection.execute(query)}


def write(world: LeadWorld, at: dt.datetime = NOW, chosen: Any = None) -> int:
    with world.installation.engine.begin() as connection:
        return lead_writing.write_contacts(connection, world.organization, at, UTC, chosen)


@pytest.mark.parametrize(
    ("score", "grade"),
    [
        *[(0, "F"), (19, "F"), (20, "D"), (39, "D"), (40, "C")],
        *[(59, "C"), (60, "B"), (79, "B"), (80, "A"), (100, "A")],
    ],
)
def test_the_score_gives_the_grade(
    shared_installation: Installation, score: int, grade: str
) -> None:
    with shared_installation.engine.connect() as connection:
        found = connection.execute(sa.select(lead_scores.grade(sa.literal(score)))).scalar_one()
    assert found == grade


def test_a_rule_counts_once_each_time_or_once_a_day(world: LeadWorld) -> None:
    ann, bob = world.contact("ann"), world.contact("bob")
    for hours in (1, 2, 30):
        world.event(ann, "clicked", NOW - dt.timedelta(hours=hours))
    rule(world, CLICKED, 10, "once")
    rule(world, CLICKED, 3, "each", counts="each")
    rule(world, CLICKED, 2, "day", counts="per_day")
    assert scores(world) == {ann: (10 + 9 + 4, "D"), bob: (0, "F")}


def test_days_are_those_of_the_reporting_zone(world: LeadWorld) -> None:
    ann = world.contact()
    rule(world, CLICKED, 7, counts="per_day")
    # Before and after midnight in Berlin on both sides of the change of its clocks.
    for hour in (22, 23):
        world.event(ann, "clicked", dt.datetime(2026, 3, 28, hour, 30, tzinfo=dt.UTC))
        world.event(ann, "clicked", dt.datetime(2026, 3, 29, hour - 1, 30, tzinfo=dt.UTC))
    at = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
    assert scores(world, at, ZoneInfo("Europe/Berlin"))[ann] == (21, "D")
    assert scores(world, at, UTC)[ann] == (14, "F")


@pytest.mark.parametrize(
    ("given", "age", "points"),
    [
        (CLICKED, 365 * DAY, 5),
        (CLICKED, 365 * DAY + INSTANT, 0),
        (CLICKED, dt.timedelta(), 0),
        (CLICKED | {"within": "7d"}, 7 * DAY, 5),
        (CLICKED | {"within": "7d"}, 7 * DAY + INSTANT, 0),
        (CLICKED | {"since": "2024-01-01"}, 700 * DAY, 5),
    ],
)
def test_occurrences_count_within_the_window_or_a_year(
    world: LeadWorld, given: Any, age: dt.timedelta, points: int
) -> None:
    ann = world.contact()
    world.event(ann, "clicked", NOW - age)
    rule(world, given, counts="each")
    assert scores(world)[ann][0] == points


def test_a_rule_earns_at_most_its_most_and_the_sum_is_0_to_100(world: LeadWorld) -> None:
    ann, bob = world.contact("ann"), world.contact("bob", email="bob@example.org")
    for n in range(4):
        world.event(ann, "clicked", NOW - n * DAY - INSTANT)
    rule(world, CLICKED, 30, "most", counts="each", most=100)
    rule(world, {"event": "page_view", "op": "=", "times": 0}, 20, "none")
    rule(world, {"attribute": "email", "op": "exists"}, -30, "minus", most=25)
    assert scores(world) == {ann: (100, "A"), bob: (0, "F")}
    rule(world, {"all": []}, 10, "all")
    assert scores(world)[bob] == (5, "F")


def test_rules_may_ask_for_activities_deals_and_the_intent_score(world: LeadWorld) -> None:
    ann, bob = world.contact("ann"), world.contact("bob")
    for name, days, kind in (
        ("a", 1, "call"),
        ("b", 2, "call"),
        ("c", 400, "call"),
        ("d", 1, "note"),
    ):
        world.execute(
            "insert into crm.activities"
            " (organization_id, external_id, kind, direction, contact_id, occurred_at)"
            " values (:own, :name, :kind, 'out', :ann, :at)",
            name=name,
            kind=kind,
            ann=ann,
            at=NOW - days * DAY,
        )
    world.execute(
        "insert into crm.deals (organization_id, external_id, contact_id, created_at)"
        " values (:own, 'd', :bob, :at)",
        bob=bob,
        at=NOW - DAY,
    )
    world.event(bob, "demo_request", NOW - INSTANT)
    rule(world, {"activity": ["call"]}, 4, "calls", counts="each")
    rule(world, {"activity": ["call", "note"], "direction": "out"}, 1, "days", counts="per_day")
    rule(world, {"activity": ["note"], "within": "7d"}, 20, "note")
    rule(world, {"deal": "open"}, 30, "deal")
    rule(world, {"score": "intent", "op": ">=", "value": 50}, 50, "intent")
    assert scores(world) == {ann: (8 + 2 + 20, "D"), bob: (80, "A")}
    assert scores(world, contacts=[bob]) == {bob: (80, "A")}


def test_disabled_rules_earn_nothing_and_own_rules_replace_the_shipped(world: LeadWorld) -> None:
    ann = world.contact(email="a@x", phone="1", first_name="Ann", last_name="A")
    for event_type in ("demo_request", "form_submission", "form_submission"):
        world.event(ann, event_type, NOW - DAY)
    assert scores(world)[ann] == (5 + 5 + 5 + 25 + 30, "B")
    rule(world, {"all": []}, 50, enabled=False)
    assert scores(world)[ann] == (0, "F")


def test_chosen_contacts_have_the_scores_that_they_have_among_all(world: LeadWorld) -> None:
    ann, bob = world.contact("ann", email="a@x"), world.contact("bob")
    world.event(bob, "demo_request", NOW - DAY)
    everybody = scores(world)
    assert everybody == {ann: (5, "F"), bob: (25, "D")}
    assert scores(world, contacts=[bob]) == {bob: everybody[bob]}


def test_changed_grades_are_events_and_equal_rows_are_not_touched(world: LeadWorld) -> None:
    world.contact("ann", email="a@x", lead_grade="B", lead_score=70)
    bob = world.contact("bob")
    world.event(bob, "demo_request", NOW - DAY)
    world.contact("cleo")
    assert write(world) == 3
    assert world.contacts("lead_score, lead_grade") == {
        "ann": (5, "F"),
        "bob": (25, "D"),
        "cleo": (0, "F"),
    }
    events = (
        "select payload - 'tick' from ops.bus_events where type = 'lead.graded'"
        " and organization_id = :own order by contact_id"
    )
    told = [payload for (payload,) in world.rows(events)]
    assert told == [{"from": "B", "to": "F", "score": 5}, {"from": "F", "to": "D", "score": 25}]
    assert write(world) == 0
    assert write(world, chosen=[bob]) == 0
    assert len(world.rows(events)) == 2


@pytest.mark.parametrize(
    ("text", "counts", "problem"),
    [
        ('{"event": "clicked"}', "each", None),
        ('{"all": [{"event": "clicked"}]}', "once", None),
        (
            '{"all": [{"event": "clicked"}]}',
            "each",
            "is no single condition on events or activities",
        ),
        ('{"event": "clicked", "times": 3}', "per_day", "times: does not go with counts"),
        ('{"event": "clicked", "last": [{"property": "a", "op": "exists"}]}', "each", "last: does"),
        (
            '{"not": {"attribute": "lead_grade", "op": "=", "value": "A"}}',
            "once",
            "not: names lead_grade, which score rules give",
        ),
        ('{"activity": ["call"]}', "each", None),
        ('{"activity": ["call"], "since_stage": true}', "each", "since_stage: does not go with"),
        ('{"grade": "B"}', "once", "asks for the lead score"),
        ('{"score": "lead", "op": ">", "value": 5}', "once", "asks for the lead score"),
        (
            '{"all": [{"attribute": "intent_score", "op": ">", "value": 5}]}',
            "once",
            'all[0].attribute: intent_score is a stored score: use the condition {"score": ',
        ),
        ('{"attribute": "email"}', "once", "has no 'op'"),
        ("[", "once", "is not JSON"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(text: str, counts: str, problem: str | None) -> None:
    found = problem_of(text, counts)
    assert (found is None) is (problem is None)
    assert (found or "").startswith(problem or "")


def test_a_file_of_rules_names_row_column_and_reason(
    installation: Installation, tmp_path: Path
) -> None:
    path = tmp_path / "rules.csv"
    path.write_text(
        "external_id,organization_id,rule,points,counts,most\n"
        'a,o,"{""event"": ""clicked""}",5,each,20\n'
        'b,o,"{""all"": []}",5,each,\n'
        'c,o,"{""all"": []}",5000,once,\n'
        'd,o,"{""all"": []}",5,often,\n'
        'e,o,"{""all"": []}",5,once,0\n'
    )
    result = installation.load("score_rules", path)
    assert (result.loaded, result.rejected) == (1, 4)
    assert installation.rows("select external_id, counts, most from leads.score_rules") == [
        ("a", "each", 20)
    ]


def test_a_rule_over_a_segment_that_names_the_score_is_refused(world: LeadWorld) -> None:
    for name, given in (
        ("inner", {"attribute": "lead_score", "op": ">", "value": 10}),
        ("outer", {"segment": "inner"}),
    ):
        world.execute(
            "insert into segments.segments (organization_id, external_id, rule)"
            " values (:own, :name, cast(:rule as jsonb))",
            name=name,
            rule=json.dumps(given),
        )
    rule(world, {"segment": "outer"})
    with pytest.raises(
        BadInputError, match="Score rule 'rule': segment 'inner': names lead_score, which score"
    ):
        scores(world)


def test_new_contacts_of_a_load_are_scored_by_one_task(
    installation: Installation, tmp_path: Path
) -> None:
    path = tmp_path / "contacts.csv"
    path.write_text(
        "external_id,organization_id,email,phone\nann,o,a@x,+49170\nbob,o,b@x,\ncleo,o,,\n"
    )
    installation.load("contacts", path)
    assert consume(installation.engine, "crm-events").count("leads/score_contacts") == 1
    assert installation.rows(
        "select external_id, lead_score, lead_grade from crm.contacts order by 1"
    ) == [("ann", 10, "F"), ("bob", 5, "F"), ("cleo", 0, "F")]


def test_a_broken_rule_fails_its_organization_alone_which_keeps_its_scores(
    installation: Installation,
) -> None:
    world, broken = LeadWorld(installation), LeadWorld(installation)
    for one in (world, broken):
        one.contact(email="a@x", lead_score=33, lead_grade="D")
    rule(broken, {"attribute": "shoe_size", "op": ">", "value": 3})
    installation.run("leads/lead_scores", at=NOW)
    assert world.contacts("lead_score, lead_grade") == {"ann": (5, "F")}
    assert broken.contacts("lead_score, lead_grade") == {"ann": (33, "D")}
    [(item, error)] = installation.rows("select item, error from ops.item_failures")
    assert item == f"organization {broken.name}"
    assert "Score rule 'rule': attribute: no contact has or has had 'shoe_size'" in error


def test_rules_with_unknown_names_fail_by_themselves_and_the_others_count(
    installation: Installation,
) -> None:
    world = LeadWorld(installation)
    world.contact(email="a@x", lead_score=33, lead_grade="D")
    for name, given in (
        ("mail", {"attribute": "email", "op": "exists"}),
        ("shoes", {"not": {"attribute": "shoe_size", "op": "exists"}}),
        ("vips", {"segment": "vips"}),
    ):
        rule(world, given, name=name, points=10)
    [outcome] = installation.run("leads/lead_scores", at=NOW)
    assert (outcome.status, outcome.items_failed) == ("COMPLETED", 2)
    assert world.contacts("lead_score, lead_grade") == {"ann": (10, "F")}
    failing = "select item, error from ops.item_failures order by item"
    assert installation.rows(failing) == [
        (
            f"organization {world.name}, score rule 'shoes'",
            "not.attribute: no contact has or has had 'shoe_size'.",
        ),
        (f"organization {world.name}, score rule 'vips'", "segment: there is no segment 'vips'."),
    ]
    world.contact("bob", attributes=json.dumps({"shoe_size": 40}))
    world.execute("update leads.score_rules set enabled = false where external_id = 'vips'")
    installation.run("leads/lead_scores", at=NOW + DAY)
    assert installation.rows(failing) == []
    assert world.contacts("lead_score, lead_grade") == {"ann": (20, "D"), "bob": (0, "F")}


def test_all_rules_that_cannot_be_used_are_named_at_once(world: LeadWorld) -> None:
    rule(world, {"attribute": "lead_score", "op": ">", "value": 1}, name="a")
    rule(world, {"attribute": "lead_grade", "op": "=", "value": "A"}, name="b")
    with pytest.raises(BadInputError, match=r"Score rule 'a': .*\. Score rule 'b': "):
        scores(world)
