"""Fault 25: rules whose values are hostile: patterns without an end, and pieces of SQL."""

import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from marketing_pipelines.domains.segments import preview
from marketing_pipelines.domains.segments.evaluation import JOB
from marketing_pipelines.domains.segments.rules import parse
from marketing_pipelines.stores import locks
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.cli.console import call_here, refusal_here
from marketing_pipelines_tests.faults.crowd import HOUR, NOW, Crowd
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import SOAK, soak_only
from marketing_pipelines_tests.segments import naive
from marketing_pipelines_tests.segments.naive import Contact, Event, World
from marketing_pipelines_tests.segments.worlds import store

pytestmark = pytest.mark.fault

UTC = ZoneInfo("UTC")
# The parts before and after the mark can be cut in very many ways, and no way fits: all are tried.
SLOW_TEXT = "a" * 120 + "!" + "a" * 119
SLOW_PATTERN = r"^(a+)(a+)(a+)(a+)(a+)(a+)!\1\2\3\4\5\6$"
# Reading these, without any text, takes very long, or more memory than PostgreSQL gives.
SLOW_TO_READ = "(((((x*)*)*)*)*y{0,200}){0,100}"
TOO_LARGE = ["(((a{1,200}b?){1,200}))", "((((a{1,100}){1,100}){1,100}){1,100})"]


@pytest.fixture
def crowd(installation: Installation, tmp_path: Path) -> Crowd:
    return Crowd(installation, tmp_path)


def matching(pattern: str) -> dict[str, Any]:
    return {"attribute": "text", "op": "matches", "value": pattern}


def test_rules_that_take_too_long_are_stopped_and_told_of_and_the_others_go_on(
    crowd: Crowd,
) -> None:
    crowd.contacts({"external_id": "ann", "text": SLOW_TEXT}, {"external_id": "bob"})
    crowd.event("ann", "opened", "2026-03-10T09:00Z", properties={"text": SLOW_TEXT})
    last = {"property": "text", "op": "matches", "value": SLOW_PATTERN}
    slow = {
        "by its text": matching(SLOW_PATTERN),
        "by its pattern": matching(SLOW_TO_READ),
        "by an event": {"event": "opened", "where": [last]},
        "by the last event": {"not": {"event": "opened", "last": [last]}},
    }
    for name in slow:
        crowd.rule(name, {"any": []})
        crowd.manual(name, "bob", "add")
    crowd.rule("healthy", {"attribute": "text", "op": "starts_with", "value": "aa"})
    crowd.evaluate(NOW - HOUR)
    for name, rule in slow.items():
        crowd.rule(name, rule)
    crowd.rule("healthy", {"attribute": "text", "op": "ends_with", "value": "!"})
    limit = ("settings", "set", "segments.timeout_seconds", "1", "--organization", "acme")
    assert call_here(*limit).returncode == 0

    outcome = crowd.evaluate()
    assert outcome.status == "COMPLETED"
    assert outcome.seconds < 60
    assert crowd.session() == ("COMPLETED", 1, 4)
    assert {crowd.error_of(name) for name in slow} == {
        "The rule took longer than 1 s and was stopped."
    }
    assert [crowd.members(name) for name in slow] == [["bob"]] * 4
    assert crowd.members("healthy") == []
    with create_engine(crowd.installation.engine.url).connect() as connection:
        assert locks.try_lock(connection, JOB)
    assert (
        crowd.installation.rows(
            "select query from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid() and state = 'active'"
        )
        == []
    )


def test_a_pattern_that_is_too_large_is_an_error_of_its_rule(
    crowd: Crowd, capsys: pytest.CaptureFixture[str]
) -> None:
    crowd.contacts({"external_id": "ann", "text": "a"})
    crowd.rule("healthy", {"attribute": "text", "op": "exists"})
    for number, pattern in enumerate(TOO_LARGE):
        crowd.rule(f"too large {number}", matching(pattern))
    crowd.evaluate()
    assert crowd.members("healthy") == ["ann"]
    told = "value: is no regular expression (regular expression is too complex)."
    assert [crowd.error_of(f"too large {number}") for number in (0, 1)] == [told, told]
    file = crowd.folder / "rule.json"
    for pattern in TOO_LARGE if SOAK else TOO_LARGE[:1]:
        file.write_text(json.dumps(matching(pattern)))
        done = call_here("segment", "check", str(file), "--organization", "acme")
        assert (done.returncode, done.stdout, done.stderr) == (1, f"{told}\n", "")
        counted = ("segment", "count", str(file), "--organization", "acme")
        assert refusal_here(capsys, *counted) == f"{file}: {told}"


@pytest.mark.parametrize(
    "pattern", [SLOW_PATTERN, pytest.param(SLOW_TO_READ, marks=[pytest.mark.soak, soak_only])]
)
def test_a_rule_that_takes_too_long_is_stopped_where_somebody_asks_for_it(
    crowd: Crowd, pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    crowd.contacts({"external_id": "ann", "text": SLOW_TEXT})
    crowd.installation.execute(
        'update crm.organizations set settings = \'{"segments": {"timeout_seconds": 1}}\''
    )
    crowd.rule("slow", matching(pattern))
    file = crowd.folder / "rule.json"
    file.write_text(json.dumps(matching(pattern)))
    stopped = "The rule took longer than 1 s and was stopped."
    for command in ("count", "members"):
        asked = ("segment", command, str(file), "--organization", "acme")
        assert refusal_here(capsys, *asked) == f"{file}: {stopped}"
    assert refusal_here(capsys, "why", "--contact", "ann", "--segment", "slow") == stopped


DROP = "'; drop table crm.contacts; --"
HOSTILE = [
    "'",
    "''",
    '"',
    "\\",
    "\\'",
    DROP,
    "' or '1'='1",
    "') or true) --",
    "/* */",
    "/*",
    "--",
    ";",
    "%s",
    "%(x)s",
    "%%",
    "%",
    ":x",
    ":'x'",
    "::int",
    "$1",
    "$$",
    "${x}",
    "{x}",
    "{0}",
    "?",
    "x'41'",
    "E'\\x27'",
    "\n",
    "\t",
    "\x01\x7f",
    "\u2028",
    "\ufeff",
    "ʼ＇",
    "👩‍💻é",
    "a, b",
    "{a,b}",
    "null",
    "NULL",
    "select",
    "attributes",
    "organization_id",
    "x" * 3_000,
]


def hostile_world() -> World:
    """A contact for each text, which has it as a value, in a list, as a name and in its events."""
    contacts, events = [], {}
    for number, text in enumerate(HOSTILE):
        name = f"{number} {text}"
        attributes = {"v": text, "list": [text, "other"], f"k{text}": text}
        contacts.append(Contact(name, attributes, {"first_name": text}))
        events[name] = [
            Event(f"e{number}", text, NOW - HOUR, source=text, properties={f"k{text}": text}),
            Event(f"f{number}", "opened", NOW - HOUR, properties={"p": {"q": text}}),
        ]
    return World(UTC, NOW, contacts, events)


def compared(name: str, op: str, value: Any) -> dict[str, Any]:
    return {"attribute": name, "op": op, "value": value}


def pattern_of(text: str) -> str:
    """A pattern that matches just this text."""
    return "".join(f"\\{c}" if c in string.punctuation else c for c in text)


def hostile_rules(text: str) -> Iterator[dict[str, Any]]:
    """The text at every place of a rule that takes a text of its own."""
    for op in ("=", "!=", ">", ">=", "<", "<=", "contains", "starts_with", "ends_with"):
        yield compared("v", op, text)
    like = text.replace("\\", "\\\\")
    yield compared("v", "like", like)
    yield compared("v", "not_like", f"%{like}%")
    yield compared("v", "in", [text, "other"])
    yield compared("v", "not_in", [text])
    yield compared("list", "contains", text)
    yield compared("first_name", "=", text)
    yield compared("first_name", "contains", text)
    yield compared("v", "matches", f"^{pattern_of(text)}$")
    for op in ("exists", "not_exists"):
        yield {"attribute": f"k{text}", "op": op}
    yield compared(f"k{text}", "=", text)
    yield {"event": text}
    yield {"event": f"{text}*", "op": "<", "times": 1}
    yield {"event": text, "source": text}
    yield {"event": text, "source": [text, text]}
    yield {"event": text, "where": [{"property": f"k{text}", "op": "exists"}]}
    yield {"event": "opened", "last": [{"property": "p.q", "op": "=", "value": text}]}


def everything(installation: Installation) -> dict[str, Any]:
    """The objects of the database, and the number of rows of each table."""
    [(objects,)] = installation.rows(
        "select array_agg(name order by name) from ("
        " select oid::regclass::text as name from pg_class"
        " where relnamespace::regnamespace::text not like 'pg_%'"
        " union all select oid::regprocedure::text from pg_proc"
        " union all select oid::regnamespace::text from pg_namespace"
        "   where nspname not like 'pg_%'"
        " union all select rolname || rolsuper from pg_roles"
        ") as objects"
    )
    tables = installation.rows(
        "select oid::regclass::text from pg_class where relkind in ('r', 'p')"
        " and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')"
        " and relnamespace::regnamespace::text not like 'pg_%'"
    )
    counts = " union all ".join(f"select '{name}', count(*) from {name}" for (name,) in tables)
    return {"objects": objects, "rows": dict(installation.rows(counts))}


@pytest.mark.soak
@soak_only
def test_pieces_of_sql_in_a_rule_are_compared_like_any_text(installation: Installation) -> None:
    world = hostile_world()
    with installation.engine.begin() as connection:
        number = store(connection, world)
    before = everything(installation)
    texts = HOSTILE if SOAK else [DROP, "\\'"]
    rules = [rule for text in texts for rule in hostile_rules(text)]
    assert len(rules) > 20 * len(texts)
    with installation.engine.connect() as connection, connection.begin():
        for rule in rules:
            found = preview.members(
                connection, number, parse(json.dumps(rule)), now=NOW, reporting_zone=UTC
            )
            assert set(found) == naive.members(rule, world), rule
    assert everything(installation) == before


def test_segments_named_like_sql_are_evaluated_confirmed_and_explained(
    crowd: Crowd, capsys: pytest.CaptureFixture[str]
) -> None:
    short = HOSTILE[:-1] if SOAK else [*HOSTILE[:-1:12], DROP]
    crowd.contacts(*({"external_id": f"c{text}", f"k{text}": text} for text in short))
    for text in short:
        crowd.rule(f"s{text}", compared(f"k{text}", "=", text))
    crowd.rule("every", {"any": [{"segment": f"s{text}"} for text in short]})
    before = everything(crowd.installation)
    crowd.evaluate()
    after = everything(crowd.installation)
    assert after["objects"] == before["objects"]
    grown = {t for t, rows in after["rows"].items() if rows != before["rows"][t]}
    assert grown == {
        "ops.job_sessions",
        "ops.job_totals",
        "segments.evaluations",
        "segments.memberships",
        "segments.touched_contacts",
    }
    assert [crowd.members(f"s{text}") for text in short] == [[f"c{text}"] for text in short]
    assert len(crowd.members("every")) == len(short)
    hostile = "s'; drop table crm.contacts; --"
    done = call_here("why", "--contact", f"c{hostile[1:]}", "--segment", hostile)
    assert done.returncode == 0
    assert "is a member of s'; drop table crm.contacts; -- since" in done.stdout
    said = refusal_here(capsys, "segment", "confirm", hostile, "--organization", "acme")
    assert said == f"No rebuild of segment '{hostile}' waits for a confirmation."
    unknown = "' or true --"
    said = refusal_here(capsys, "segment", "confirm", "x", "--organization", unknown)
    assert unknown in said
    assert everything(crowd.installation) == after


NUL = "a\0b"
NUL_RULES: list[tuple[dict[str, Any], str]] = [
    (compared("v", "=", NUL), "value"),
    (compared("v", "in", ["x", NUL]), "value[1]"),
    (compared("v", "matches", NUL), "value"),
    (compared(NUL, "=", "x"), "attribute"),
    ({"event": NUL}, "event"),
    ({"event": "opened", "source": NUL}, "source"),
    ({"event": "opened", "source": ["k", NUL]}, "source[1]"),
    ({"event": "opened", "where": [{"property": NUL, "op": "exists"}]}, "where[0].property"),
    ({"event": "opened", "last": [{"property": "p", "op": "=", "value": NUL}]}, "last[0].value"),
    ({"all": [{"not": {"segment": NUL}}]}, "all[0].not.segment"),
    ({"event": "opened", "within": f"1d{NUL}"}, "within"),
    ({"event": "opened", "since": NUL}, "since"),
    ({NUL: []}, ""),
]


def test_a_rule_with_a_nul_is_refused_where_it_stands_by_every_door(crowd: Crowd) -> None:
    crowd.contacts({"external_id": "ann", "v": "x"})
    files = []
    for number, (rule, _) in enumerate(NUL_RULES):
        file = crowd.folder / f"nul-{number}.json"
        file.write_text(json.dumps(rule))
        files.append(str(file))
    done = call_here("segment", "check", *files, "--organization", "acme")
    assert (done.returncode, done.stderr) == (1, "")
    reason = "holds a character that PostgreSQL cannot store."
    assert done.stdout.splitlines() == [
        f"{file}\t{f'{path}: ' if path else 'The rule '}{reason}"
        for file, (_, path) in zip(files, NUL_RULES, strict=True)
    ]
    rows = [
        {"external_id": f"nul {number}", "organization_id": "acme", "rule": rule}
        for number, (rule, _) in enumerate(NUL_RULES)
    ]
    rows += [{"external_id": NUL, "organization_id": "acme", "rule": {"any": []}}]
    loaded = crowd.folder / "segments-with-nul.jsonl"
    loaded.write_text("\n".join(json.dumps(row) for row in rows))
    result = crowd.installation.load("segments", loaded)
    assert (result.loaded, result.rejected) == (0, len(rows))
    assert crowd.installation.rows("select count(*) from segments.segments") == [(0,)]
