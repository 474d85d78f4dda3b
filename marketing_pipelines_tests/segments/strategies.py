"""Random worlds and valid rules about them, for hypothesis.

It chooses how many contacts and events there are and how a rule is built; each contact, event
and condition is made from a seed. That is fast, and a failure still shrinks to the few that it
needs.
"""

from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple, Protocol

from hypothesis import strategies as st

from marketing_pipelines_tests.segments import chance
from marketing_pipelines_tests.segments.naive import Event, Segment, World

MAX_CONTACTS = 8
MAX_EVENTS = 25
# The second is as it would be called by its number.
SEGMENTS = ["s", "170000000001"]


class Draw(Protocol):
    """The function that hypothesis hands to a composite strategy."""

    def __call__(self, strategy: st.SearchStrategy[Any]) -> Any:
        """A value of the strategy."""


class Case(NamedTuple):
    """A world and a valid rule about it."""

    world: World
    rule: Any


# In a larger range hypothesis prefers small numbers, and worlds would resemble one another.
_SEEDS = st.integers(0, 2**24 - 1)
_DICE = _SEEDS.map(Random)


@st.composite
def worlds(draw: Draw) -> World:
    """A zone, an instant, up to 8 contacts, up to 25 events, up to 2 segments."""
    dice = draw(_DICE)
    empty = chance.moment(dice)
    names = chance.attribute_names(dice)
    seeds = draw(_some_seeds(1, MAX_CONTACTS))
    contacts = [
        chance.contact(Random(seed), f"c{place}", names, empty) for place, seed in enumerate(seeds)
    ]
    happened: dict[str, list[Event]] = {}
    for place, seed in enumerate(draw(_some_seeds(0, MAX_EVENTS))):
        dice = Random(seed)
        # Half of the contacts have most of the events, so that some have several of a kind.
        whose = dice.choice(contacts[: (len(contacts) + 1) // 2] * 2 + contacts).external_id
        happened.setdefault(whose, []).append(chance.event(dice, place, empty))
    world = replace(empty, contacts=contacts, events=happened)
    segments: dict[str, Segment] = {}
    # A segment knows only those before it, so there is no cycle.
    for name in SEGMENTS[: draw(st.integers(0, len(SEGMENTS)))]:
        rule = draw(rules(replace(world, segments=dict(segments)), depth=1))
        segments[name] = _segment(draw(_DICE), rule, world)
    return replace(world, segments=segments)


@st.composite
def _some_seeds(draw: Draw, fewest: int, most: int) -> list[int]:
    # Left alone, hypothesis makes most lists short.
    least = draw(st.sampled_from([fewest, (fewest + most) // 2, most]))
    return draw(st.lists(_SEEDS, min_size=least, max_size=most))


def _segment(dice: Random, rule: Any, world: World) -> Segment:
    said = {each.external_id: dice.choice(["", "", "", "add", "remove"]) for each in world.contacts}
    return Segment(
        rule,
        frozenset(name for name in said if said[name] == "add"),
        frozenset(name for name in said if said[name] == "remove"),
    )


@st.composite
def cases(draw: Draw, *, depth: int = 3) -> Case:
    """A world and a rule about it, with groups nested at most so deep."""
    world = replace(draw(worlds()), organization="acme")
    return Case(world, draw(rules(world, depth=depth)))


@st.composite
def rules(draw: Draw, world: World, *, depth: int = 3) -> Any:
    """A valid rule about a world, with groups nested at most so deep."""
    kinds = ["attribute"] * 5 + ["event"] * 4
    kinds += ["segment"] * 2 if world.segments else []
    kinds += ["random"] if world.organization else []
    kinds += ["all", "any"] * 3 + ["not"] * 2 if depth else []
    kind = draw(st.sampled_from(kinds))
    if kind in ("attribute", "event"):
        # A seed that hypothesis likes means another condition in another world.
        return chance.condition(Random(f"{draw(_SEEDS)} {world.now}"), world, kind)
    if kind == "segment":
        name = draw(st.sampled_from(sorted(world.segments)))
        return {"segment": int(name) if name.isdigit() and draw(st.booleans()) else name}
    if kind == "random":
        hundredths = draw(st.integers(0, 10_000))
        percent = hundredths // 100 if hundredths % 2 else Decimal(hundredths) / 100
        return {"random": {"percent": percent, "salt": draw(st.sampled_from(["x", "\u00e9 y"]))}}
    inner = rules(world, depth=depth - 1)
    if kind == "not":
        return {"not": draw(inner)}
    # Of many conditions, all are seldom true.
    most = 2 if kind == "all" else 4
    least = draw(st.sampled_from([0, 1, 2, 2]))
    return {kind: draw(st.lists(inner, min_size=least, max_size=most))}
