"""The days on which mails leave under warm-up, as `program activate` and `load` print them."""

import datetime as dt

import pytest

from marketing_pipelines.domains.delivery.warmup_outlook import (
    Outlook,
    notes_on_warmup,
    outlook_of_audience,
)
from marketing_pipelines_tests.delivery.test_warmup import domain, ramp
from marketing_pipelines_tests.delivery.world import NOW, Recorder, World

TODAY = NOW.date()


def day(number: int) -> dt.date:
    return TODAY + dt.timedelta(days=number)


def outlook(world: World, mails: int) -> Outlook | None:
    with world.begin() as connection:
        return outlook_of_audience(connection, world.organization, mails, NOW)


@pytest.mark.parametrize(
    ("mails", "today", "last_on", "expired"),
    [
        (1, 1, 0, 0),
        (10, 10, 0, 0),
        (11, 10, 1, 0),
        (30, 10, 1, 0),
        (31, 10, 2, 0),
        # 10 + 20 + 5 × 30 leave within the seven days.
        (180, 10, 6, 0),
        (181, 10, 7, 1),
        (240, 10, 8, 60),
        # On day 31 nothing limits it any more.
        (10_000, 10, 30, 9_820),
    ],
)
def test_mails_fill_the_days_of_the_ramp_in_turn(
    world: World, mails: int, today: int, last_on: int, expired: int
) -> None:
    ramp(world, 10, 20, 30)
    domain(world)
    assert outlook(world, mails) == Outlook("acme", "a.org", mails, today, day(last_on), expired)


def test_taken_places_and_waiting_mails_go_first(world: World) -> None:
    ramp(world, 10, 20)
    domain(world)
    world.messages(world.contacts(4))
    world.send(transport=Recorder())
    world.messages(world.contacts(8), step=2)
    found = outlook(world, 7)
    assert found == Outlook("acme", "a.org", 7, 0, day(1), 0)
    assert str(found) == (
        "Under warm-up a.org sends 0 of 7 mails today and the last on 2026-03-03."
    )


def test_a_warm_domain_and_a_second_one_say_nothing(world: World) -> None:
    domain(world, warmup="off")
    domain(world, "b.org")
    assert outlook(world, 1_000) is None


def test_loading_domains_notes_the_mails_that_wait_and_those_that_expire(world: World) -> None:
    ramp(world, 10)
    domain(world)
    world.messages(world.contacts(71))
    with world.begin() as connection:
        [note] = notes_on_warmup(connection, NOW)
    assert note == (
        f"Under warm-up a.org sends 10 of 71 mails today and the last on"
        f" {day(7)}. 1 of them expires before, by their `valid_for`."
        " Today's cap is 10, 0 of it taken."
    )


def test_a_paused_domain_promises_no_mail_for_today(world: World) -> None:
    domain(world)
    world.execute("update delivery.sending_domains set paused_until = '2026-03-09T07:30:00Z'")
    assert str(outlook(world, 7)) == (
        "a.org is paused until 2026-03-09 07:30 UTC: no mail leaves before."
    )


def test_loading_a_domain_that_no_mail_waits_for_says_so(world: World) -> None:
    ramp(world, 10)
    domain(world)
    with world.begin() as connection:
        [note] = notes_on_warmup(connection, NOW)
    assert note == (
        "a.org is under warm-up, and no mail waits for it. Today's cap is 10, 0 of it taken."
    )
