"""`segment`, `why` and loading rules, as somebody at a terminal or a script uses them."""

import json
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines_tests.cli.console import call_here, refusal_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.segments.test_evaluation import IN_BERN, NOW, Segments

OPENED = {"event": "opened", "within": "1d"}
AT = ("--organization", "acme", "--at", "2026-03-10T12:00:00Z")


@pytest.fixture
def installation(emptied: Installation) -> Installation:
    """That of the file: its tests change rows alone."""
    return emptied


@pytest.fixture
def segments(installation: Installation, tmp_path: Path) -> Segments:
    found = Segments(installation, tmp_path)
    found.contacts({"external_id": "ann", "city": "Bern"}, {"external_id": "bob", "city": "Bonn"})
    found.event("ann", "opened", "2026-03-10T10:00:00Z")
    return found


def rule_file(folder: Path, name: str, rule: Any) -> str:
    path = folder / name
    path.write_text(rule if isinstance(rule, str) else json.dumps(rule))
    return str(path)


def test_members_are_external_ids_one_a_line_in_order(segments: Segments) -> None:
    done = call_here("segment", "members", rule_file(segments.folder, "r.json", {"all": []}), *AT)
    assert (done.returncode, done.stdout) == (0, "ann\nbob\n")


def test_count_is_a_number_as_of_the_instant(segments: Segments) -> None:
    rule = rule_file(segments.folder, "r.json", OPENED)
    assert call_here("segment", "count", rule, *AT).stdout == "1\n"
    later = ("--organization", "acme", "--at", "2026-03-12T12:00:00+00:00")
    assert call_here("segment", "count", rule, *later).stdout == "0\n"


def test_of_several_files_each_line_carries_the_files_name(segments: Segments) -> None:
    one = rule_file(segments.folder, "one.json", IN_BERN)
    two = rule_file(segments.folder, "two.json", {"all": []})
    assert call_here("segment", "count", one, two, *AT).stdout == f"{one}\t1\n{two}\t2\n"
    listed = call_here("segment", "members", one, two, *AT).stdout
    assert listed == f"{one}\tann\n{two}\tann\n{two}\tbob\n"


def test_check_names_what_is_wrong_in_each_file_and_ends_with_1(segments: Segments) -> None:
    good = rule_file(segments.folder, "good.json", IN_BERN)
    misspelt = {"all": [IN_BERN, {"attribute": "cty", "op": "!=", "value": "Bern"}]}
    bad = rule_file(segments.folder, "bad.json", misspelt)
    broken = rule_file(segments.folder, "broken.json", '{"all": [')
    done = call_here("segment", "check", good, bad, broken, "--organization", "acme")
    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == [
        f"{good}\tok",
        f"{bad}\tall[1].attribute: no contact has or has had 'cty'; similar: city.",
    ]
    assert done.stdout.splitlines()[2].startswith(f"{broken}\tThe rule is not JSON: ")
    assert call_here("segment", "check", good, "--organization", "acme").stdout == "ok\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{rule}", "--organization", "nobody"], "There is no organization 'nobody'"),
        (["{rule}", "--organization", "acme", "--at", "noon"], "--at 'noon' is no instant"),
        (["{rule}", "--organization", "acme", "--at", "2026-03-10T12:00"], "is no instant"),
        (["{folder}/none.json", "--organization", "acme"], "none.json cannot be read"),
        (["{wrong}", "--organization", "acme"], "wrong.json: value: takes a date"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    segments: Segments, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    names = {
        "folder": segments.folder,
        "rule": rule_file(segments.folder, "rule.json", {"all": []}),
        "wrong": rule_file(
            segments.folder, "wrong.json", {"attribute": "city", "op": "before", "value": 3}
        ),
    }
    given = [argument.format(**names) for argument in arguments]
    assert sentence in refusal_here(capsys, "segment", "count", *given)


def test_a_reference_means_the_other_segment_with_its_manual_members(segments: Segments) -> None:
    segments.rule("bernese", IN_BERN)
    segments.manual("bernese", "ann", "remove")
    segments.manual("bernese", "bob", "add")
    rule = rule_file(segments.folder, "r.json", {"segment": "bernese"})
    assert call_here("segment", "members", rule, *AT).stdout == "bob\n"


def test_a_cycle_is_named(segments: Segments, capsys: pytest.CaptureFixture[str]) -> None:
    segments.rule("a", {"not": {"segment": "b"}})
    segments.rule("b", {"any": [{"segment": "a"}]})
    rule = rule_file(segments.folder, "r.json", {"segment": "a"})
    assert "a → b → a" in refusal_here(capsys, "segment", "count", rule, *AT)


def test_rules_that_cannot_be_are_rejected_with_their_path_when_loaded(
    installation: Installation, tmp_path: Path
) -> None:
    path = tmp_path / "segments.csv"
    path.write_text(
        "external_id,organization_id,name,rule\n"
        's1,acme,Sound,"{""all"": []}"\n'
        's2,acme,Broken,"{""all"": [{""event"": ""x"", ""within"": ""3y""}]}"\n'
        "s3,acme,Empty,\n"
    )
    result = installation.load("segments", path)
    assert (result.loaded, result.rejected) == (2, 1)
    rejects = path.with_name("segments.csv.rejects.csv").read_text().splitlines()
    assert rejects[1].startswith("3,rule,")
    assert "all[0].within: '3y' is no length" in rejects[1]
    stored = installation.rows("select external_id, rule::text from segments.segments order by 1")
    assert stored == [("s1", '{"all": []}'), ("s3", '{"any": []}')]


def test_loading_another_rule_makes_another_version_and_the_same_rule_none(
    segments: Segments,
) -> None:
    version = "select version from segments.segments"
    segments.rule("bernese", IN_BERN)
    segments.rule("bernese", IN_BERN)
    assert segments.installation.rows(version) == [(1,)]
    segments.rule("bernese", {"all": []})
    assert segments.installation.rows(version) == [(2,)]


def test_why_shows_each_condition_with_the_row_that_decides(segments: Segments) -> None:
    segments.rule("base", IN_BERN)
    segments.rule(
        "active",
        {
            "all": [
                {"any": [IN_BERN, {"attribute": "plan.tier", "op": "=", "value": 2.50}]},
                {
                    "event": "opened",
                    "times": 1,
                    "where": [{"property": "client", "op": "not_exists"}],
                },
                {"not": {"segment": "base"}},
            ]
        },
    )
    segments.contacts({"external_id": "eve", "plan": {"tier": 2.5}})
    segments.event("eve", "opened", "2026-03-09T10:00:00.123456Z")
    # A property is known when an event has it.
    segments.event("bob", "opened", "2026-03-09T11:00:00Z", properties={"client": "mail"})
    segments.manual("active", "bob", "add")
    segments.evaluate(NOW)
    said = call_here("why", "--contact", "ann", "--segment", "active").stdout.splitlines()
    assert said[0] == "ann is no member of active and never was."
    assert said[1] == "The rule does not hold now."
    assert said[2] == "Members are right up to 2026-03-10T12:00:00Z."
    assert said[3:] == [
        "false all",
        "  true  any",
        '    true  {"attribute": "city", "op": "=", "value": "Bern"}  ← city is "Bern"',
        '    false {"attribute": "plan.tier", "op": "=", "value": 2.5}  ← plan.tier is missing',
        '  true  {"event": "opened", "times": 1, "where": [{"property": "client", '
        '"op": "not_exists"}]}  ← 1 event e1 at 2026-03-10T10:00:00Z',
        "  false not",
        '    true  {"segment": "base"}  ← a member since 2026-03-10T12:00:00Z',
    ]
    by_hand = call_here("why", "--contact", "bob", "--segment", "active").stdout.splitlines()
    assert by_hand[:2] == [
        "bob is a member of active since 2026-03-10T12:00:00Z.",
        "It was put in by hand, which wins over the rule.",
    ]
    assert call_here("why", "--contact", "eve", "--segment", "active").stdout.startswith(
        "eve is a member of active since 2026-03-10T12:00:00Z.\nThe rule holds now.\n"
    )


def test_analysts_read_segments_and_members(segments: Segments) -> None:
    segments.rule("bernese", IN_BERN, name="People of Bern")
    segments.evaluate(NOW)
    asked = (
        "select s.name, c.external_id from segments.segments s"
        " join segments.memberships m on m.segment_id = s.id and m.left_at is null"
        " join analytics.contacts c on c.id = m.contact_id"
    )
    done = call_here("query", asked, "--format", "csv")
    assert done.stdout == "name,external_id\nPeople of Bern,ann\n"
