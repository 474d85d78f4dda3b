"""The compiled statement gives what the reference evaluator gives, for everybody and for a few."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema_rs
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from marketing_pipelines.domains.segments import preview, segment_graph, staging
from marketing_pipelines.domains.segments.compiler import Compiler
from marketing_pipelines.domains.segments.rule_errors import RuleError
from marketing_pipelines.domains.segments.rules import json_schema, parse
from marketing_pipelines.stores.temporary import create_temporary
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import PATIENCE, SOAK
from marketing_pipelines_tests.segments import naive, strategies
from marketing_pipelines_tests.segments.cases import Case, by_world, error_world, every_case
from marketing_pipelines_tests.segments.errors import ERRORS
from marketing_pipelines_tests.segments.worlds import store, to_json

UTC = ZoneInfo("UTC")
WORLDS = by_world(every_case())
# In parts, which several processes share.
PARTS = 4
EXAMPLES = (50_000 if SOAK else 24) // PARTS


@pytest.fixture
def connection(shared_installation: Installation) -> Iterator[sa.Connection]:
    """Nothing of it is kept."""
    with shared_installation.engine.connect() as opened:
        yield opened


Ask = Callable[[Any], list[str]]


def of_everybody(
    connection: sa.Connection, number: int, world: naive.World, rules: Sequence[Any]
) -> Ask:
    """Asks as somebody does by hand."""
    return lambda rule: sorted(
        preview.members(connection, number, parse(to_json(rule)), now=world.now, reporting_zone=UTC)
    )


def of_few(connection: sa.Connection, number: int, world: naive.World, rules: Sequence[Any]) -> Ask:
    """The same statement as an evaluation of touched contacts, over copies of their rows."""
    frame = segment_graph.frame(
        connection,
        number,
        zone=world.zone,
        now=world.now,
        segments=segment_graph.Inlined(segment_graph.read(connection, number)),
    )
    contacts = sa.text("select id as contact_id from crm.contacts where organization_id = :number")
    create_temporary(connection, "looked_at", contacts.bindparams(number=number))
    named = [segment.rule for segment in world.segments.values()]
    staging.stage(connection, [parse(to_json(rule)) for rule in [*rules, *named]], frame)

    def ask(rule: Any) -> list[str]:
        compiler = Compiler(frame, staging.STAGED)
        holds = compiler.condition(parse(to_json(rule)))
        found = sa.select(compiler.contact.c.external_id).select_from(compiler.source)
        return sorted(connection.execute(found.where(holds)).scalars())

    return ask


@pytest.mark.parametrize("asked_of", [of_everybody, of_few])
@pytest.mark.parametrize("place", range(len(WORLDS)), ids=[w[1][0].table for w in WORLDS])
def test_every_row_of_the_tables(connection: sa.Connection, place: int, asked_of: Any) -> None:
    world, cases = WORLDS[place]
    number = store(connection, world)
    ask = asked_of(connection, number, world, [case.rule for case in cases])
    members: dict[str, list[str]] = {}
    wrong: list[Case] = []
    for case in cases:
        rule = to_json(case.rule)
        if rule not in members:
            members[rule] = ask(case.rule)
        is_member = case.contact in members[rule]
        if is_member is not case.expected:
            wrong.append(case)
    assert [(case.rule, case.contact, case.expected) for case in wrong] == []


def test_what_cannot_be_evaluated_is_refused_and_named(connection: sa.Connection) -> None:
    world = error_world()
    number = store(connection, world)
    found = []
    for rule, path in ERRORS:
        try:
            parsed = parse(to_json(rule))
            preview.check(connection, number, parsed, now=world.now, reporting_zone=UTC)
            found.append((rule, path, "no error"))
        except RuleError as error:
            if error.path != path:
                found.append((rule, path, error.path))
    assert found == []


def test_the_published_schema_takes_the_rules_of_the_tables_and_no_other_shape() -> None:
    schema = jsonschema_rs.validator_for(json_schema())
    refused = [c.rule for c in every_case() if not schema.is_valid(json.loads(to_json(c.rule)))]
    assert refused == []
    for wrong in ([], {}, {"all": [], "any": []}, {"alle": []}, {"attribute": "x", "op": "=="}):
        assert not schema.is_valid(wrong), wrong


@pytest.mark.soak
@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("part", range(PARTS))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=strategies.cases())
def test_random_rules_about_random_contacts(
    connection: sa.Connection, part: int, case: strategies.Case
) -> None:
    expected = sorted(naive.members(case.rule, case.world))
    with connection.begin_nested() as undone:
        number = store(connection, case.world)
        ask = of_everybody(connection, number, case.world, [case.rule])
        assert ask(case.rule) == expected
        undone.rollback()
