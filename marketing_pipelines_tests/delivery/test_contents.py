"""A wording is a row once, however often and by whomever it is wanted."""

import threading

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.contents import store
from marketing_pipelines_tests.delivery.world import World


def test_the_same_content_is_one_row_whatever_the_order_of_its_keys(world: World) -> None:
    with world.begin() as connection:
        first = store(
            connection,
            {
                "a": (world.organization, {"text": "Grüße", "subject": "x"}),
                "b": (world.organization, {"subject": "x", "text": "Grüße"}),
                "c": (world.organization, {"subject": "y", "text": "Grüße"}),
            },
        )
    assert first["a"] == first["b"] != first["c"]
    with world.begin() as connection:
        again = store(connection, {7: (world.organization, {"text": "Grüße", "subject": "x"})})
    assert again == {7: first["a"]}
    assert world.rows("select count(*) from delivery.contents") == [(2,)]
    stored = world.value("select content from delivery.contents where id = :id", id=first["a"])
    assert stored == {"subject": "x", "text": "Grüße"}


def test_each_organization_has_its_own(world: World) -> None:
    other = world.value("insert into crm.organizations (external_id) values ('b') returning id")
    content = {"text": "same"}
    with world.begin() as connection:
        numbers = store(connection, {1: (world.organization, content), 2: (other, content)})
    assert numbers[1] != numbers[2]


def test_nothing_wanted_is_nothing_written(world: World) -> None:
    with world.begin() as connection:
        assert store(connection, {}) == {}


def test_two_that_want_the_same_at_once_get_the_same_row(world: World) -> None:
    contents = [{"text": f"{number}"} for number in range(20)]
    found: list[dict[int, int]] = []
    together = threading.Barrier(2)

    def write(numbers: list[int]) -> None:
        with world.begin() as connection:
            connection.execute(sa.text("set local deadlock_timeout = '200ms'"))
            together.wait()
            wanted = {number: (world.organization, contents[number]) for number in numbers}
            found.append(store(connection, wanted))

    threads = [
        threading.Thread(target=write, args=[order])
        for order in (list(range(20)), list(reversed(range(20))))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert world.rows("select count(*) from delivery.contents") == [(20,)]
