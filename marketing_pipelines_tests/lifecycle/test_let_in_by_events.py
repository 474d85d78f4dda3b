"""An enrolment that an event lets in begins at the event; later steps count from the tick."""

import datetime as dt
from typing import Any

import pytest

from marketing_pipelines_tests.lifecycle.world import ProgramWorld, Steps, at

TICK = at("03-02 10:05")
CART = TICK - dt.timedelta(minutes=4, seconds=30)
FIVE_MINUTES = dt.timedelta(minutes=5)
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
MAIL = {"subject": "s", "text": "t"}
SIDES: Steps = [
    ("no", "exit", {"reason": "reminded"}),
    ("yes", "exit", {"reason": "bought"}),
]
PURCHASE = {"event": "purchase", "timeout": "1h", "yes": "yes", "no": "no"}


class Carts:
    """A journey that contacts enter with a full cart."""

    def __init__(self, world: ProgramWorld, steps: Steps, event: str = "cart") -> None:
        self.world = world
        self.journey = world.program(steps, kind="journey")
        world.trigger(self.journey, event, policy="each_entry")

    def happen(self, event: str, occurred_at: dt.datetime, contact: int | None = None) -> int:
        """An event of a contact, by default a new one; returns the contact."""
        contact = self.world.contacts(1)[0] if contact is None else contact
        self.world.event([contact], event, occurred_at)
        return contact

    def move(self, tick: dt.datetime) -> None:
        """A pass: contacts are let in and moved."""
        self.world.start(tick)
        self.world.move(tick, kind="journey")

    @property
    def left(self) -> dict[str, int]:
        """The number of contacts that left, by reason."""
        rows = self.world.left(self.journey, kind="journey")
        return {reason or status: number for status, reason, number in rows}

    @property
    def standing(self) -> list[tuple[Any, ...]]:
        """The place of each enrolment: entered, step, since, until."""
        return self.world.rows(
            "select entered_at, step.external_id, arrived_at, next_step_at"
            " from lifecycle.enrolments as it"
            " left join lifecycle.steps as step on step.id = step_id"
            " where it.program_kind = 'journey' and it.program_id = :journey order by it.id",
            journey=self.journey,
        )


def test_what_a_contact_does_between_the_event_and_the_pass_is_seen(world: ProgramWorld) -> None:
    carts = Carts(world, [("bought", "wait_for", PURCHASE), *SIDES])
    contact = carts.happen("cart", CART)
    carts.happen("purchase", CART + dt.timedelta(seconds=150), contact)
    carts.move(TICK)
    assert carts.left == {"bought": 1}


@pytest.mark.parametrize(
    ("bought", "expected"),
    [
        (-dt.timedelta(microseconds=1), {"reminded": 1}),
        (dt.timedelta(), {"bought": 1}),
        (HOUR - dt.timedelta(microseconds=1), {"bought": 1}),
        (HOUR, {"reminded": 1}),
    ],
    ids=["before", "with the event", "just in time", "time is out"],
)
def test_the_first_wait_for_looks_from_the_event_until_its_time_is_out(
    world: ProgramWorld, bought: dt.timedelta, expected: dict[str, int]
) -> None:
    carts = Carts(world, [("bought", "wait_for", PURCHASE), *SIDES])
    contact = carts.happen("cart", CART)
    carts.happen("purchase", CART + bought, contact)
    carts.move(TICK + 2 * HOUR)
    assert carts.left == expected


def test_the_first_wait_ends_as_long_after_the_event_as_it_takes(world: ProgramWorld) -> None:
    carts = Carts(world, [("pause", "wait", {"for": "1h"}), *SIDES])
    carts.happen("cart", CART)
    carts.move(TICK)
    assert carts.standing == [(CART, "pause", CART, CART + HOUR)]
    carts.move(CART + HOUR - dt.timedelta(microseconds=1))
    assert carts.left == {}
    carts.move(CART + HOUR)
    assert carts.left == {"reminded": 1}


def test_a_first_wait_until_a_time_of_day_looks_from_the_event(world: ProgramWorld) -> None:
    carts = Carts(world, [("ten", "wait", {"until": "10:03"}), *SIDES])
    carts.happen("cart", at("03-02 10:02"))
    carts.move(TICK)
    assert carts.left == {"reminded": 1}


def test_a_first_wait_that_is_over_is_passed_and_the_second_counts_from_the_pass(
    world: ProgramWorld,
) -> None:
    day = {"for": "1d"}
    carts = Carts(world, [("one", "wait", day), ("two", "wait", day), *SIDES])
    carts.happen("cart", TICK - 60 * HOUR)
    carts.move(TICK)
    assert carts.standing == [(TICK - 60 * HOUR, "two", TICK, TICK + DAY)]


@pytest.mark.parametrize("first", ["mail", "wait"])
def test_of_an_event_that_is_sixty_hours_late_one_mail_leaves_in_the_first_pass(
    world: ProgramWorld, first: str
) -> None:
    day = {"for": "1d"}
    steps: Steps = [
        ("m1", "send_email", MAIL),
        ("w1", "wait", day),
        ("m2", "send_email", MAIL),
        ("w2", "wait", day),
        ("m3", "send_email", MAIL),
    ]
    carts = Carts(world, steps if first == "mail" else [("w0", "wait", day), *steps])
    carts.happen("cart", TICK - 60 * HOUR)
    sent = []
    for number in range(4):
        carts.move(TICK + number * DAY)
        sent.append(sorted(world.messages()))
    assert sent == [["m1"], ["m1", "m2"], ["m1", "m2", "m3"], ["m1", "m2", "m3"]]


ONLY_LEADS_ON: list[tuple[str, dict[str, Any]]] = [
    ("branch", {"rule": {"all": []}}),
    ("create_task", {"title": "switched off"}),
]


@pytest.mark.parametrize(("step", "config"), ONLY_LEADS_ON, ids=["a branch", "switched off"])
def test_steps_that_only_lead_on_take_no_time(
    world: ProgramWorld, step: str, config: dict[str, Any]
) -> None:
    carts = Carts(world, [("on", step, config), ("bought", "wait_for", PURCHASE), *SIDES])
    if step != "branch":
        world.change_step(carts.journey, "on", kind="journey", enabled=False)
    contact = carts.happen("cart", CART)
    carts.happen("purchase", CART + dt.timedelta(seconds=1), contact)
    carts.move(TICK)
    assert carts.left == {"bought": 1}


def test_after_a_step_that_does_something_time_counts_from_the_pass(world: ProgramWorld) -> None:
    carts = Carts(world, [("m", "send_email", MAIL), ("bought", "wait_for", PURCHASE), *SIDES])
    contact = carts.happen("cart", CART)
    carts.happen("purchase", CART + dt.timedelta(seconds=1), contact)
    carts.move(TICK)
    assert carts.standing == [(CART, "bought", TICK, TICK + HOUR)]


def test_a_contact_that_was_held_before_its_first_wait_still_begins_at_the_event(
    world: ProgramWorld,
) -> None:
    broken = {"rule": {"segment": "nowhere"}}
    carts = Carts(world, [("on", "branch", broken), ("bought", "wait_for", PURCHASE), *SIDES])
    contact = carts.happen("cart", CART)
    carts.happen("purchase", CART + dt.timedelta(seconds=1), contact)
    carts.move(TICK)
    assert carts.standing == [(CART, "on", CART, TICK)]
    world.change_step(carts.journey, "on", kind="journey", config={"rule": {"all": []}})
    carts.move(TICK + DAY)
    assert carts.left == {"bought": 1}


def test_the_event_that_lets_in_does_not_answer_the_wait_for_the_next_one(
    world: ProgramWorld,
) -> None:
    carts = Carts(world, [("again", "wait_for", PURCHASE), *SIDES], event="purchase")
    on_the_tick, before = carts.happen("purchase", TICK), carts.happen("purchase", CART)
    carts.move(TICK)
    assert [row[1] for row in carts.standing] == ["again"], "what happens at the tick is not seen"
    carts.move(TICK + FIVE_MINUTES)
    assert [row[1:3] for row in carts.standing] == [("again", CART), ("again", TICK)]
    carts.happen("purchase", TICK + 2 * FIVE_MINUTES, on_the_tick)
    carts.happen("purchase", TICK + 2 * FIVE_MINUTES, before)
    carts.move(TICK + 3 * FIVE_MINUTES)
    assert carts.left == {"bought": 2}


def test_contacts_that_come_by_file_begin_at_the_pass(world: ProgramWorld) -> None:
    carts = Carts(world, [("bought", "wait_for", PURCHASE), *SIDES])
    contact = world.contacts(1)
    world.enrol(carts.journey, contact, CART, kind="journey")
    carts.happen("purchase", CART + dt.timedelta(seconds=1), contact[0])
    carts.move(TICK)
    assert carts.standing == [(CART, "bought", TICK, TICK + HOUR)]
