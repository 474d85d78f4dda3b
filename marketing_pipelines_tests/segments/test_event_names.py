"""Names in conditions on events: a misspelt one never means everybody."""

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.stores.postgres import raw_cursor
from marketing_pipelines_tests.cli.console import call_here, printed_here, refusal_here
from marketing_pipelines_tests.installation import Installation

KNOWN = (
    'select field from segments.event_fields where event_type = :type order by field collate "C"'
)


@pytest.fixture(scope="module")
def acme(
    shared_installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """One contact that opened a mail of campaign `spring` and bought something."""
    folder = tmp_path_factory.mktemp("acme")
    at = {"occurred_at": "2026-03-01T10:00:00Z"}
    shared_installation.load_events(
        folder,
        [
            at | {"event_id": "1", "event_type": "opened", "event_source": "spring"},
            at
            | {"event_id": "2", "event_type": "opened", "properties": {"os": "x", "by": {"a": 1}}},
            at | {"event_id": "3", "event_type": "purchase", "properties": {"total": 5}},
        ],
    )
    return shared_installation


def rule_file(folder: Path, rule: Any) -> str:
    path = folder / "rule.json"
    path.write_text(json.dumps(rule))
    return str(path)


def add(connection: sa.Connection, event_type: str, properties: Sequence[Any], first: int) -> None:
    """Stores events of one statement, without a loader around."""
    connection.execute(
        sa.text(
            "insert into analytics.contact_activity (organization_id, event_id, contact_id,"
            " event_type, occurred_at, received_at, properties)"
            " select organization_id, :first + place, id, :type, '2026-03-01 10:00Z',"
            " '2026-03-01 10:00Z', value from crm.contacts,"
            " jsonb_array_elements(cast(:properties as jsonb))"
            " with ordinality as given (value, place)"
        ),
        {"type": event_type, "properties": json.dumps(properties), "first": first},
    )


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (
            {"event": "opened", "times": 0, "source": "sprnig"},
            "source: there is no campaign 'sprnig'; similar: spring",
        ),
        (
            {"event": "opened", "source": ["spring", "sumer"]},
            "source[1]: there is no campaign 'sumer'",
        ),
        (
            {
                "event": "purchase",
                "times": 0,
                "where": [{"property": "totl", "op": ">", "value": 1}],
            },
            "where[0].property: no event of type 'purchase' has or has had 'totl'; similar: total",
        ),
        (
            {"not": {"event": "open*", "last": [{"property": "by.b", "op": "exists"}]}},
            "not.last[0].property: no event of type 'open*' has or has had 'by.b';"
            " similar: by.a, by",
        ),
    ],
)
def test_a_name_that_nothing_has_is_an_error_of_the_rule(
    acme: Installation,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rule: Any,
    sentence: str,
) -> None:
    asked = ("segment", "count", rule_file(tmp_path, rule), "--organization", "acme")
    assert refusal_here(capsys, *asked).endswith(f": {sentence}.")


@pytest.mark.parametrize(
    "rule",
    [
        {"event": "opened", "source": "spring", "where": [{"property": "os", "op": "not_exists"}]},
        {"event": "opened", "last": [{"property": "by.a", "op": "not_exists"}]},
        {"event": "*", "source": "spring", "where": [{"property": "total", "op": "not_exists"}]},
    ],
)
def test_known_names_are_taken(
    acme: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: Any
) -> None:
    asked = ("segment", "check", rule_file(tmp_path, rule), "--organization", "acme")
    assert printed_here(capsys, *asked) == "ok\n"


def test_a_type_that_was_never_received_is_noted_with_those_that_look_like_it(
    acme: Installation, tmp_path: Path
) -> None:
    where = [{"property": "anything", "op": "exists"}]
    rule = {"any": [{"event": "open", "times": 0}, {"event": "sms*", "where": where}]}
    path = rule_file(tmp_path, rule)
    expected = [
        f"note: {path}: any[0].event: no event of type 'open' was ever received; known: opened, ….",
        f"note: {path}: any[1].event: no event of type 'sms*' was ever received;"
        " known: opened, purchase.",
    ]
    for command, printed in (("check", "ok\n"), ("count", "1\n")):
        done = call_here("segment", command, path, "--organization", "acme")
        assert (done.returncode, done.stdout) == (0, printed)
        assert done.stderr.splitlines() == expected


def test_loading_a_segment_and_asking_why_note_types_that_never_came(
    acme: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"external_id": "never", "organization_id": "acme", "rule": {"event": "purchas*e"}},
        {"external_id": "buyers", "organization_id": "acme", "rule": {"event": "purchas*"}},
    ]
    path = tmp_path / "segments.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    note = "event: no event of type 'purchas*e' was ever received; known: purchase, …."
    printed = printed_here(capsys, "load", "segments", str(path)).splitlines()
    assert printed[1:] == [f"note: segment never of acme: {note}"]
    why = printed_here(capsys, "why", "--contact", "c1", "--segment", "never").splitlines()
    assert why[-1] == f"note: {note}"
    other = printed_here(capsys, "why", "--contact", "c1", "--segment", "buyers")
    assert "note:" not in other


def test_the_first_500_keys_of_a_type_are_known_and_beyond_them_any_name_is(
    acme: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with acme.engine.begin() as connection:
        add(connection, "wide", [{f"k{number}": 1 for number in range(499)}], 1_000)
    rule = {"event": "wide", "where": [{"property": "other", "op": "exists"}]}
    asked = ("segment", "check", rule_file(tmp_path, rule), "--organization", "acme")
    printed = call_here(*asked)
    assert (printed.returncode, "has or has had 'other'" in printed.stdout) == (1, True)
    with acme.engine.begin() as connection:
        add(connection, "wide", [{"l1": 1, "l2": 1, "l3": 1}], 1_001)
    assert len(acme.rows(KNOWN, type="wide")) == 501
    assert printed_here(capsys, *asked) == "ok\n"


def test_keys_are_known_once_whatever_order_they_come_in(acme: Installation) -> None:
    batches: list[list[Any]] = [
        [{"a": 1}, {"a": {"b": 1}}, None, {}],
        [{"a": {"b": {"c": 1}}, "d": [{"e": 1}]}],
        [{"a": {"b": {"c": 2}}, "d": 1}, {"a": "x"}, {"deep" * 500: {"lost": 1}}],
    ]
    for number, properties in enumerate(batches):
        with acme.engine.begin() as connection:
            add(connection, "mixed", properties, 2_000 + 10 * number)
    expected = ["", "a", "a.b", "a.b.c", "d", "deep" * 500]
    assert [row[0] for row in acme.rows(KNOWN, type="mixed")] == expected


def test_events_of_before_are_known_after_the_migration(acme: Installation) -> None:
    known = "select distinct event_type, field from segments.event_fields order by 1, 2"
    before = acme.rows(known)
    files = resources.files("marketing_pipelines.migrations").joinpath("sql").iterdir()
    [migration] = [file for file in files if file.name.endswith("_event_fields.sql")]
    fill = migration.read_text().partition("share row exclusive mode;")[2]
    with acme.engine.begin() as connection:
        connection.exec_driver_sql("delete from segments.event_fields")
        raw_cursor(connection).execute(fill)
    assert acme.rows(known) == before


def test_two_transactions_that_meet_at_a_new_key_do_not_wait_for_each_other(
    acme: Installation,
) -> None:
    with acme.engine.connect() as one, acme.engine.connect() as other:
        for connection in (one, other):
            connection.exec_driver_sql("set lock_timeout = '2s'")
        add(one, "met", [{"a": 1}], 3_000)
        add(other, "encountered", [{"a": 1}], 3_001)
        add(one, "encountered", [{"a": 1, "b": 1}], 3_002)
        add(other, "met", [{"a": 1}], 3_003)
        one.commit()
        other.commit()
    for event_type, expected in (("met", ["", "a"]), ("encountered", ["", "a", "b"])):
        assert sorted({row[0] for row in acme.rows(KNOWN, type=event_type)}) == expected


def test_a_branch_that_names_what_nothing_has_is_noted_when_it_is_loaded(
    acme: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "campaigns.csv").write_text(
        "external_id,organization_id,status\nspring,acme,active\n"
    )
    acme.load("campaigns", tmp_path / "campaigns.csv")
    rule = {"event": "opened", "times": 0, "source": "sprnig"}
    step = {
        "organization_id": "acme",
        "program_kind": "campaign",
        "program": "spring",
        "external_id": "fork",
        "position": 1,
        "type": "branch",
        "config": {"rule": rule, "yes": "end", "no": "end"},
    }
    end = step | {"external_id": "end", "position": 2, "type": "exit", "config": {}}
    (tmp_path / "steps.jsonl").write_text("\n".join(json.dumps(row) for row in (step, end)))
    printed = printed_here(capsys, "load", "steps", str(tmp_path / "steps.jsonl"))
    assert "rule.source: there is no campaign 'sprnig'; similar: spring." in printed
