"""Workers killed at every point: nothing is lost, and nothing goes out twice."""

from collections import Counter
from typing import Any

import pytest

from marketing_pipelines.domains.delivery.counts import Audience
from marketing_pipelines.domains.delivery.sending import LEASE
from marketing_pipelines_tests.delivery.child import Log, log, run
from marketing_pipelines_tests.delivery.world import NOW, World, files
from marketing_pipelines_tests.scale import SOAK

pytestmark = pytest.mark.fault

KILLED = -9
COUNT = 20
# Two transactions: the claim, and the end of the whole batch.
REPEATABLE = {
    ("begin", 1): 0, ("commit", 1): 0, ("begin", 2): COUNT, ("commit", 2): COUNT, ("send", 1): 0,
    ("rename", 7): 6, ("send", 8): 7, ("sent", 8): 8, ("sent", COUNT): COUNT,
}  # fmt: skip


def points(table: dict[tuple[str, int], Any]) -> list[tuple[tuple[str, int], Any]]:
    """All points of a table, or every third of them."""
    return list(table.items())[:: 1 if SOAK else 3]


# 2, 3
def test_a_repeatable_transport_ends_with_each_message_once_wherever_workers_are_killed(
    world: World,
) -> None:
    now = NOW
    contacts = world.contacts(COUNT)
    for step, (point, written) in enumerate(points(REPEATABLE)):
        before = len(files())
        numbers = world.messages(contacts, step=step, due_at=now)
        assert run(*point, now) == KILLED, point
        assert len(files()) - before == written, point
        states = Counter(world.state(number)[0] for number in numbers)
        claimed = point not in (("begin", 1), ("commit", 1))
        assert states == {"claimed" if claimed else "queued": COUNT}, point
        if claimed:
            assert world.send(now=now).claimed == 0, "the lease holds"
        now += LEASE
        assert world.send(now=now).sent == COUNT
        assert {world.state(number) for number in numbers} == {("sent", None)}
        assert len(files()) - before == COUNT
    assert Counter(int(path.stem) for path in files()) == Counter(
        number for (number,) in world.rows("select id from delivery.messages")
    )


# The claim, a mark for each message with the end of the one before, and the end of the batch. So
# many were taken, of so many it is known, of so many it is not.
NOT_REPEATABLE = {
    ("send", 1): (0, 0, 1), ("begin", 2): (COUNT, COUNT - 1, 1), ("sent", 5): (5, 4, 1),
    ("commit", 1): (0, 0, 0), ("sent", 1): (1, 0, 1), ("send", 5): (4, 4, 1),
    ("commit", 2): (COUNT, COUNT - 1, 1),
}  # fmt: skip


# 3
def test_a_transport_that_cannot_repeat_never_takes_a_message_twice(world: World) -> None:
    now = NOW
    contacts = world.contacts(COUNT)
    log().parent.mkdir(parents=True, exist_ok=True)
    log().touch()
    unknown = 0
    for step, (point, (taken, known, begun)) in enumerate(points(NOT_REPEATABLE)):
        numbers = world.messages(contacts, step=step, due_at=now)
        before = len(log().read_text().split())
        assert run(*point, now, "log") == KILLED, point
        assert len(log().read_text().split()) - before == taken, point
        is_claimed = point != ("commit", 1)
        assert {world.state(number)[0] for number in numbers} == {
            "claimed" if is_claimed else "queued"
        }
        assert world.rows(
            "select count(ended), count(*) - count(ended) from delivery.handovers"
        ) == [(known, begun)]
        now += LEASE
        rest = COUNT - known - begun
        assert world.send(now=now, transport=Log()).sent == rest, point
        unknown += begun
        assert Counter(world.state(number)[0] for number in numbers) == Counter(
            {"sent": known + rest, "unknown": begun}
        ), point
        lines = log().read_text().split()
        assert len(lines) == len(set(lines)), point
    total = COUNT * len(points(NOT_REPEATABLE))
    assert world.audience() == {
        "email": Audience(sent=total - unknown, skipped=0, failed=0, remaining=unknown)
    }
