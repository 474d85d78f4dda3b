"""Unknown names in rules, settings and triggers: noted at once, and failing by themselves."""

import json
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import Installation


@pytest.fixture(scope="module")
def acme(
    shared_installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """A contact with an attribute and an event, a segment, a sequence, a user, a deal."""
    folder = tmp_path_factory.mktemp("acme")
    at = {"occurred_at": "2026-03-01T10:00:00Z"}
    row = {"organization_id": "acme"}
    load(shared_installation, folder, "contacts", row | {"external_id": "c1", "shoe_size": 40})
    shared_installation.load_events(folder, [at | {"event_id": "1", "event_type": "webinar"}])
    everybody = {"external_id": "everybody", "rule": {"all": []}}
    load(shared_installation, folder, "segments", row | everybody)
    load(shared_installation, folder, "sequences", row | {"external_id": "comeback"})
    load(shared_installation, folder, "users", row | {"external_id": "rep1", "role": "rep"})
    deal = {"external_id": "d1", "stage": "Contract sent", "status": "open"}
    load(shared_installation, folder, "deals", row | deal)
    return shared_installation


def load(installation: Installation, folder: Path, kind: str, *rows: Any) -> None:
    path = folder / f"{kind}.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    installation.load(kind, path)


def notes(*arguments: str) -> list[str]:
    done = call_here(*arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr + done.stdout
    return [line for line in done.stdout.splitlines() if line.startswith("note: ")]


def test_a_file_of_score_rules_notes_the_names_that_are_unknown(
    acme: Installation, tmp_path: Path
) -> None:
    rules = (
        ("shoes", {"attribute": "shoe_sise", "op": ">", "value": 3}),
        ("vips", {"segment": "everybdy"}),
        ("web", {"event": "webinr"}),
        ("right", {"attribute": "shoe_size", "op": ">", "value": 3}),
        ("calls", {"activity": ["call"], "since_stage": True}),
    )
    path = tmp_path / "rules.jsonl"
    rows: list[dict[str, Any]] = [
        {"organization_id": "acme", "external_id": name, "rule": rule, "points": 5}
        for name, rule in rules
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    assert notes("load", "score_rules", str(path)) == [
        "note: score rule shoes of acme: attribute: no contact has or has had 'shoe_sise';"
        " similar: shoe_size.",
        "note: score rule vips of acme: segment: there is no segment 'everybdy';"
        " similar: everybody.",
        "note: score rule web of acme: event: no event of type 'webinr' was ever received;"
        " known: webinar.",
    ]
    # All faults in one run, and its exit code says that items fail.
    done = call_here("run", "leads/lead_scores")
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("failed: ")] == [
        "failed: organization acme, score rule 'shoes': attribute: no contact has or has had"
        " 'shoe_sise'; similar: shoe_size.",
        "failed: organization acme, score rule 'vips': segment: there is no segment 'everybdy';"
        " similar: everybody.",
    ]
    assert acme.rows("select lead_score from crm.contacts") == [(5,)]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "lifecycle.rules",
            [{"from": "lead", "to": "mql", "rule": {"segment": "everybdy"}}],
            "lifecycle.rules, rule 1, lead to mql: segment: there is no segment 'everybdy';"
            " similar: everybody.",
        ),
        (
            "intent.points",
            {"webinr": 5, "webinar": 4},
            "intent.points: no event of type 'webinr' was ever received; known: webinar.",
        ),
        (
            "recycling.signals",
            ["webinar", "webinr"],
            "recycling.signals: no event of type 'webinr' was ever received; known: webinar.",
        ),
        (
            "recycling.sequence",
            "combeack",
            "recycling.sequence: there is no sequence 'combeack'; similar: comeback.",
        ),
        (
            "assignment.users",
            ["rep1", "rep2"],
            "assignment.users: there is no user 'rep2'; similar: rep1.",
        ),
        (
            "deals.stale_after_days",
            {"default": 7, "contract SENT": 21, "contract snt": 3},
            "deals.stale_after_days: there is no deal in the stage 'contract snt';"
            " similar: Contract sent.",
        ),
    ],
)
def test_a_setting_notes_the_names_that_are_unknown(
    acme: Installation, key: str, value: Any, said: str
) -> None:
    given = ("settings", "set", "--organization", "acme", key)
    assert notes(*given, json.dumps(value)) == [f"note: {said}"]
    assert call_here(*given, "null").returncode == 0


def test_triggers_and_endings_note_the_names_that_are_unknown(
    acme: Installation, tmp_path: Path
) -> None:
    journeys = tmp_path / "journeys.jsonl"
    goal = {"rule": {"attribute": "shoe_sise", "op": "exists"}}
    row = {"organization_id": "acme", "external_id": "run", "status": "active"}
    journeys.write_text(json.dumps(row | {"goal": goal}))
    assert notes("load", "journeys", str(journeys)) == [
        "note: journey run of acme, goal.attribute: no contact has or has had 'shoe_sise';"
        " similar: shoe_size."
    ]
    triggers = tmp_path / "triggers.jsonl"
    own = {"organization_id": "acme", "journey_id": "run"}
    rows: list[dict[str, Any]] = [
        {"external_id": "a", "type": "event", "event_type": "webinr"},
        {"external_id": "b", "type": "date", "config": {"attribute": "shoe_sise"}},
        {"external_id": "c", "type": "event", "event_type": "webinar"},
    ]
    triggers.write_text("\n".join(json.dumps(own | row) for row in rows))
    assert notes("load", "journey_triggers", str(triggers)) == [
        "note: trigger a of journey run of acme: event: no event of type 'webinr' was ever"
        " received; known: webinar.",
        "note: trigger b of journey run of acme: attribute: no contact has or has had"
        " 'shoe_sise'; similar: shoe_size.",
    ]
