"""Random rules are valid, are about their world, and are true about as often as not."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from marketing_pipelines_tests.scale import SOAK, soak_only
from marketing_pipelines_tests.segments.checking import OPERATORS, check
from marketing_pipelines_tests.segments.naive import Contact, World, holds
from marketing_pipelines_tests.segments.strategies import Case, cases
from marketing_pipelines_tests.segments.worlds import from_json, to_json

# Shrinking is for failures; here many worlds are counted.
MANY = settings(
    max_examples=500,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.soak
@settings(MANY, max_examples=200 if SOAK else 50)
@given(cases())
def test_random_rules_are_valid(case: Case) -> None:
    check(case.rule, case.world)
    for segment in case.world.segments.values():
        check(segment.rule, case.world)
        assert not segment.added & segment.removed


@pytest.mark.soak
@settings(MANY, max_examples=100 if SOAK else 25)
@given(cases())
def test_random_rules_can_be_written_and_read(case: Case) -> None:
    assert from_json(to_json(case.rule)) == case.rule


@pytest.mark.soak
@soak_only
def test_every_kind_of_condition_is_true_and_false_often_enough() -> None:
    said: Counter[tuple[str, bool]] = Counter()

    @MANY
    @given(cases())
    def count(case: Case) -> None:
        for contact in case.world.contacts:
            _count(case.rule, contact, case.world, said)

    count()
    kinds = {kind for kind, _ in said}
    shares = {kind: said[kind, True] / (said[kind, True] + said[kind, False]) for kind in kinds}
    assert kinds >= {*OPERATORS, "event", "last", "segment", "all", "any", "not", "whole"}
    assert 0.35 < shares["whole"] < 0.65
    assert {kind: share for kind, share in shares.items() if not 0.005 < share < 0.995} == {}


def _count(
    rule: Any, contact: Contact, world: World, said: "Counter[tuple[str, bool]]", top: bool = True
) -> None:
    answer = holds(rule, contact, world)
    if top:
        said["whole", answer] += 1
    [kind] = [
        k for k in ("all", "any", "not", "attribute", "event", "segment", "random") if k in rule
    ]
    if kind == "attribute":
        said[rule["op"], answer] += 1
    elif kind == "event":
        said["last" if "last" in rule else "event", answer] += 1
    else:
        said[kind, answer] += 1
    inner = {"all": list, "any": list, "not": lambda one: [one]}.get(kind)
    for each in inner(rule[kind]) if inner else ():
        _count(each, contact, world, said, top=False)
