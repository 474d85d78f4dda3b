"""Lifecycle stages: rules at their boundaries, moves with history and events, never twice."""

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from marketing_pipelines.documentation import DOCS
from marketing_pipelines.domains.crm.organization_settings import OrganizationSettings
from marketing_pipelines.domains.crm.stage_settings import Lifecycle
from marketing_pipelines.domains.leads.stages.explaining import sentences_of, tell_stage
from marketing_pipelines.domains.leads.stages.moving import StageReport, move_contacts
from marketing_pipelines.domains.leads.stages.rules import moves_of, require_rules
from marketing_pipelines.failures import BadInputError
from marketing_pipelines_tests.cli.console import call_here, refusal_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.leads.crm import DAY, INSTANT, OLD, TICK, Crm

JOB = "leads/lifecycle_stages"


@pytest.fixture
def crm(shared_installation: Installation) -> Crm:
    crm = Crm(shared_installation)
    crm.score_by_points()
    return crm


def stages(crm: Crm) -> dict[str, str | None]:
    return dict(crm.rows("select external_id, lifecycle_stage from crm.contacts"))


def history(crm: Crm) -> list[tuple[Any, ...]]:
    return crm.rows(
        'select external_id, "from", "to", at, tick from leads.lifecycle_history'
        " join crm.contacts as contact on contact.id = contact_id order by lifecycle_history.id"
    )


def told(crm: Crm) -> list[tuple[Any, ...]]:
    return crm.rows(
        "select external_id, payload ->> 'from', payload ->> 'to' from ops.bus_events as event"
        " join crm.contacts as contact on contact.id = contact_id"
        " where type = 'contact.stage_changed' order by event.id"
    )


def rule(crm: Crm, condition: dict[str, Any], before: str = "lead", to: str = "mql") -> None:
    crm.settings(lifecycle={"rules": [{"from": before, "to": to, "rule": condition}]})


def qualified(crm: Crm, name: str, **columns: Any) -> int:
    """A contact whose intent score is 70 at the tick, and whose lead score its points are."""
    contact = crm.contact(name, attributes={"points": "20"}, **columns)
    crm.event(contact, "demo_request", TICK - INSTANT)
    crm.event(contact, "form_submission", TICK - INSTANT)
    return contact


def grade(crm: Crm, contact: int, points: int) -> None:
    crm.installation.execute(
        "update crm.contacts set attributes = jsonb_build_object('points', cast(:p as text))"
        " where id = :id",
        p=points,
        id=contact,
    )


def test_a_contact_makes_its_moves_by_the_default_rules(crm: Crm) -> None:
    ann = qualified(crm, "ann")
    crm.run(JOB)
    assert stages(crm) == {"ann": None}  # 40 points are grade C
    grade(crm, ann, 40)
    crm.run(JOB)
    assert stages(crm) == {"ann": "mql"}
    crm.add("activities", "call", kind="call", contact_id=ann, occurred_at=TICK + DAY)
    crm.run(JOB, TICK + DAY)
    assert stages(crm) == {"ann": "mql"}
    crm.add("deals", "d1", contact_id=ann, created_at=TICK + 2 * DAY, status="won",
            closed_at=TICK + 3 * DAY)  # fmt: skip
    crm.run(JOB, TICK + 2 * DAY)
    assert stages(crm) == {"ann": "opportunity"}
    crm.run(JOB, TICK + 3 * DAY)
    assert history(crm) == [
        ("ann", "lead", "mql", TICK, TICK),
        ("ann", "mql", "sql", TICK + 2 * DAY, TICK + 2 * DAY),
        ("ann", "sql", "opportunity", TICK + 2 * DAY, TICK + 2 * DAY),
        ("ann", "opportunity", "customer", TICK + 3 * DAY, TICK + 3 * DAY),
    ]
    assert told(crm) == [row[:3] for row in history(crm)]
    assert crm.rows("select reason from leads.lifecycle_history order by id limit 2") == [
        ('rule 1, lead to mql: grade B or better and intent score > 50 and '
         '{"event":"form_submission"}',),
        ("rule 2, mql to sql: call or meeting since the stage began and grade A",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("points", "wanted", "moves"),
    [(40, "A", True), (39, "A", False), (20, "C", True), (20, "B", False), (19, "F", True)],
)
def test_a_grade_is_this_one_or_a_better_one(
    crm: Crm, points: int, wanted: str, moves: bool
) -> None:
    crm.contact("ann", attributes={"points": str(points)})
    rule(crm, {"grade": wanted})
    crm.run(JOB)
    assert stages(crm) == {"ann": "mql" if moves else None}


@pytest.mark.parametrize(
    ("at", "condition", "moves"),
    [
        (TICK - 30 * DAY, {"within": "30d"}, True),
        (TICK - 30 * DAY - INSTANT, {"within": "30d"}, False),
        (TICK - INSTANT, {"within": "30d"}, True),
        (TICK, {"within": "30d"}, False),
        (OLD, {"since_stage": True}, True),
        (OLD - INSTANT, {"since_stage": True}, False),
        (OLD - DAY, {}, True),
        (TICK - DAY, {"direction": "in"}, True),
        (TICK - DAY, {"direction": "out"}, False),
    ],
)
def test_an_activity_lies_in_a_half_open_window(
    crm: Crm, at: dt.datetime, condition: dict[str, Any], moves: bool
) -> None:
    ann = crm.contact("ann")
    crm.contact("bob")
    crm.add("activities", "a1", kind="call", direction="in", contact_id=ann, occurred_at=at)
    rule(crm, {"activity": ["meeting", "call"]} | condition)
    crm.run(JOB)
    assert stages(crm) == {"ann": "mql" if moves else None, "bob": None}


@pytest.mark.parametrize(
    ("wanted", "deal", "moves"),
    [
        ("any", {"status": "lost"}, True),
        ("any", {"created_at": TICK + INSTANT}, False),
        ("open", {"status": "open"}, True),
        ("open", {"status": "won"}, False),
        ("won", {"status": "won", "closed_at": TICK}, True),
        ("won", {"status": "won", "closed_at": TICK + INSTANT}, False),
        ("won", {"status": "won"}, False),
    ],
)
def test_a_deal_counts_by_its_status_and_instants(
    crm: Crm, wanted: str, deal: dict[str, Any], moves: bool
) -> None:
    company = crm.insert("crm.companies", organization_id=crm.organization, external_id="co")
    ann = crm.contact("ann")
    crm.contact("bob", company_id=company)
    crm.add("deals", "d1", **{"contact_id": ann, "created_at": OLD, "company_id": company} | deal)
    rule(crm, {"deal": wanted})
    crm.run(JOB)
    assert stages(crm) == {"ann": "mql" if moves else None, "bob": None}


def test_the_score_is_that_of_the_tick_and_not_the_column(crm: Crm) -> None:
    ann = crm.contact("ann", intent_score=0)
    crm.contact("bob", intent_score=99)
    crm.event(ann, "demo_request", TICK - 2 * DAY)
    for value, moved in ((46, None), (45, "mql")):
        rule(crm, {"score": "intent", "op": ">", "value": value})
        crm.run(JOB)
        assert stages(crm) == {"ann": moved, "bob": None}


def test_a_negated_score_is_judged_too(crm: Crm) -> None:
    ann, _ = crm.contact("ann"), crm.contact("bob")
    crm.event(ann, "demo_request", TICK - DAY)
    rule(crm, {"not": {"score": "intent", "op": ">=", "value": 48}})
    crm.run(JOB)
    assert stages(crm) == {"ann": None, "bob": "mql"}


def test_stages_compare_without_case_and_others_are_left_alone_and_counted(crm: Crm) -> None:
    for name, stage in (("ann", "MQL"), ("bob", "Mql"), ("cy", "evangelist"), ("dot", "lead")):
        crm.contact(name, stage)
    crm.contact("eve", "mql", manual_override=True)
    rule(crm, {"all": []}, "Mql", "Won")
    report = StageReport()
    [organization] = crm.rows("select id, external_id from crm.organizations")
    named = SimpleNamespace(id=organization[0], external_id=organization[1])
    with crm.installation.engine.begin() as connection:
        assert move_contacts(connection, named, TICK, ZoneInfo("UTC"), report) == 2
    assert stages(crm) == {
        "ann": "Won",
        "bob": "Won",
        "cy": "evangelist",
        "dot": "lead",
        "eve": "mql",
    }
    assert report == StageReport({"mql to Won": 2}, [("acme", "evangelist", 1)])


def test_a_tick_that_is_run_again_or_late_changes_nothing(crm: Crm) -> None:
    for number in range(3):
        grade(crm, qualified(crm, f"c{number}"), 40)
    crm.run(JOB)
    before = crm.hash()
    for at in (TICK, TICK - DAY, TICK, TICK + dt.timedelta(hours=2)):
        crm.run(JOB, at)
        assert crm.hash() == before


def test_a_contact_that_a_file_put_back_is_moved_again_by_a_later_tick_only(crm: Crm) -> None:
    crm.contact("ann")
    rule(crm, {"all": []})
    crm.run(JOB)
    crm.installation.execute(
        "update crm.contacts set lifecycle_stage = 'lead', lifecycle_stage_at = :at", at=OLD
    )
    crm.contact("bob")
    outcome = crm.run(JOB)
    assert (outcome.rows, outcome.items_failed) == (1, 0)
    assert stages(crm) == {"ann": "lead", "bob": "mql"}
    crm.run(JOB, TICK + DAY)
    assert history(crm) == [
        ("ann", "lead", "mql", TICK, TICK),
        ("bob", "lead", "mql", TICK, TICK),
        ("ann", "lead", "mql", TICK + DAY, TICK + DAY),
    ]


def test_a_broken_rule_stops_its_organization_only(crm: Crm) -> None:
    rule(crm, {"attribute": "colour", "op": "=", "value": "red"})
    other = crm.insert("crm.organizations", external_id="umbra", settings={
        "lifecycle": {"rules": [{"from": "lead", "to": "mql", "rule": {"all": []}}]}
    })  # fmt: skip
    crm.contact("ann")
    crm.insert("crm.contacts", organization_id=other, external_id="zoe")
    outcome = crm.run(JOB)
    assert (outcome.status, outcome.rows, outcome.items_failed) == ("COMPLETED", 1, 1)
    assert stages(crm) == {"ann": None, "zoe": "mql"}
    [(item, error)] = crm.rows("select item, error from ops.item_failures where job = :j", j=JOB)
    assert item == "organization acme"
    assert error.startswith("lifecycle.rules, rule 1, lead to mql: ")
    assert "no contact has or has had 'colour'" in error


def test_a_broken_rule_is_a_failing_item_and_the_others_move_contacts(crm: Crm) -> None:
    moves = [
        {"from": "lead", "to": "mql", "rule": {"attribute": "email", "op": "exists"}},
        {"from": "lead", "to": "mql", "rule": {"attribute": "colour", "op": "exists"}},
        {"from": "mql", "to": "sql", "rule": {"segment": "vips"}},
    ]
    crm.settings(lifecycle={"rules": moves})
    crm.contact("ann", email="ann@x")
    failing = "select item, error from ops.item_failures order by item"
    outcome = crm.run(JOB)
    assert (outcome.status, outcome.rows, outcome.items_failed) == ("COMPLETED", 1, 2)
    assert stages(crm) == {"ann": "mql"}
    assert crm.rows(failing) == [
        (
            "organization acme, lifecycle.rules, rule 2, lead to mql",
            "attribute: no contact has or has had 'colour'.",
        ),
        (
            "organization acme, lifecycle.rules, rule 3, mql to sql",
            "segment: there is no segment 'vips'.",
        ),
    ]
    crm.settings(lifecycle={"rules": moves[:1]})
    assert crm.run(JOB, TICK + DAY).items_failed == 0
    assert crm.rows(failing) == []


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ([("lead", "mql", {"grade": "E"})], "lifecycle.rules[0].rule.grade: "),
        (
            [("lead", "mql", {"all": [{"activity": ["call"], "within": "soon"}]})],
            "lifecycle.rules[0].rule.all[0].within: 'soon' is no length",
        ),
        (
            [("lead", "mql", {"activity": ["call"], "within": "1d", "since_stage": True})],
            "lifecycle.rules[0].rule.within: cannot be combined with since_stage.",
        ),
        (
            [("a", "b", {"all": []}), ("B", "c", {"all": []}), ("c", "A", {"all": []})],
            "lifecycle.rules leads back to an earlier stage",
        ),
        ([("a", "b", {"score": "heat", "op": ">", "value": 1})], "lifecycle.rules[0].rule.score: "),
        (
            [("a", "b", {"not": {"attribute": "intent_band", "op": "=", "value": "high"}})],
            "lifecycle.rules[0].rule.not.attribute: intent_band is a stored score: use the "
            'condition {"score": "intent", "op": ">", "value": 50}, which',
        ),
        (
            [("a", "b", {"attribute": "lead_grade", "op": "=", "value": "A"})],
            "lifecycle.rules[0].rule.attribute: lead_grade is a stored score: use the condition "
            '{"grade": "B"}, which computes it for the tick.',
        ),
    ],
)
def test_rules_that_cannot_be_used_are_refused(
    rules: list[tuple[str, str, dict[str, Any]]], sentence: str
) -> None:
    given = [{"from": before, "to": to, "rule": rule} for before, to, rule in rules]
    settings = OrganizationSettings.model_validate({"lifecycle": {"rules": given}})
    with pytest.raises(BadInputError) as refused:
        require_rules(settings)
    assert str(refused.value).startswith(sentence)


def test_the_default_rules_are_shown_and_a_wrong_rule_is_not_stored(
    crm: Crm, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [move.before for move in moves_of(Lifecycle().rules)] == [
        "lead",
        "mql",
        "sql",
        "opportunity",
    ]
    shown = call_here("settings", "show", "--organization", "acme").stdout
    [line] = [line for line in shown.splitlines() if line.startswith("lifecycle.rules")]
    assert '"from": "sql", "to": "opportunity"' in line.replace("'", '"')
    wrong = '[{"from": "lead", "to": "mql", "rule": {"grade": "Z"}}]'
    told_why = refusal_here(
        capsys, "settings", "set", "--organization", "acme", "lifecycle.rules", wrong
    )
    assert "lifecycle.rules[0].rule.grade" in told_why
    assert crm.rows("select settings from crm.organizations") == [({},)]


def test_the_story_of_a_stage_has_each_move_with_its_rule(crm: Crm) -> None:
    ann = crm.contact("ann", manual_override=False, attributes={"points": "5"})

    def told(at: dt.datetime | None = None) -> list[str]:
        with crm.installation.engine.connect() as connection:
            return sentences_of("ann", tell_stage(connection, ann, at=at))

    assert told() == ["ann is at the stage lead, since it has none.", "No job has moved it."]
    rule(crm, {"any": [{"deal": "open"}, {"not": {"grade": "D"}}]})
    crm.run(JOB)
    crm.installation.execute("update crm.contacts set manual_override = true where id = :a", a=ann)
    move = "  2026-03-10T02:00:00Z  lead → mql  ← rule 1, lead to mql: an open deal or not "
    assert told() == [
        "ann is at the stage mql since 2026-03-10T02:00:00Z.",
        "manual_override is set: no job changes its stage.",
        move + "grade D or better",
    ]
    assert told(TICK - INSTANT)[0] == "ann is at the stage lead."


def test_a_pass_that_is_cut_off_leaves_nothing_and_is_made_up_for(crm: Crm) -> None:
    for number in range(3):
        grade(crm, qualified(crm, f"c{number}"), 40)
    before = crm.hash()
    [row] = crm.rows("select id, external_id from crm.organizations")
    with crm.installation.engine.connect() as connection, connection.begin() as cut_off:
        named = SimpleNamespace(id=row[0], external_id=row[1])
        assert move_contacts(connection, named, TICK, ZoneInfo("UTC"), StageReport()) == 3
        cut_off.rollback()
    assert crm.hash() == before
    crm.run(JOB)
    after = crm.hash()
    crm.run(JOB)
    assert crm.hash() == after
    assert [row[:3] for row in history(crm)] == [(f"c{n}", "lead", "mql") for n in range(3)]
    assert told(crm) == [row[:3] for row in history(crm)]


def test_the_examples_of_the_page_come_from_their_files_in_one_installation(
    shared_installation: Installation, tmp_path: Path
) -> None:
    crm = Crm(shared_installation)
    page = (DOCS / "leads.md").read_text(encoding="utf-8")
    for kind, text in zip(("contacts", "events"), page.split("```csv\n")[1:], strict=False):
        path = tmp_path / f"{kind}.csv"
        path.write_text(text.partition("\n```")[0])
        assert not crm.installation.load(kind, path).rejected
    for kind in ("contacts", "events", "score_rules", "activities", "deals"):
        path = tmp_path / f"{kind}.jsonl"
        path.write_text(block(page, f"jsonl {kind}"))
        report = crm.installation.load(kind, path)
        assert (report.rejected, report.repeated) == (0, 0)
    for hour in (2, 4, 10):
        crm.run(JOB, TICK.replace(hour=hour))
    with crm.installation.engine.connect() as connection:
        [(ann,)] = crm.rows(
            "select contact.id from crm.contacts as contact join crm.organizations as own"
            " on own.id = organization_id"
            " where contact.external_id = 'ann' and own.external_id = 'globex'"
        )
        lines = sentences_of("ann", tell_stage(connection, ann))
    assert lines[0] == "ann is at the stage opportunity since 2026-03-10T10:00:00Z."
    assert [line.strip() for line in lines[1:]] == block(page, "history").splitlines()


def block(page: str, name: str) -> str:
    """The text of the page's block of this name."""
    return page.partition(f"```{name}\n")[2].partition("\n```")[0]
