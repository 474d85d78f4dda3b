"""Marks: made in the writer's own transaction, removed only by who saw them."""

import datetime as dt

import sqlalchemy as sa

from marketing_pipelines.freshness import stale_partitions
from marketing_pipelines.freshness.partitions import Window, window
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.installation import instant

ASSET = "analytics/contact_activity"
HOUR, NEXT = "2026-03-01-10:00", "2026-03-01-11:00"


def insert_event(connection: sa.Connection, event_id: str, occurred_at: object) -> None:
    """One event of organization 1, straight into the table."""
    connection.execute(
        sa.text(
            "insert into analytics.contact_activity"
            " (organization_id, event_id, contact_id, event_type, occurred_at, received_at)"
            " values (1, :event_id, 1, 'sent', :occurred_at, now())"
        ),
        {"event_id": event_id, "occurred_at": occurred_at},
    )


def mark_count(engine: sa.Engine) -> dict[str, int]:
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("select partition, count(*) from analytics.stale_partitions group by 1")
        )
        return {row.partition: row.count for row in rows}


def add(engine: sa.Engine, *keys: str, requested_at: dt.datetime | None = None) -> None:
    with engine.begin() as connection:
        stale_partitions.add(connection, ASSET, keys, requested_at=requested_at)


def test_an_insert_marks_the_hours_it_touched_once_per_transaction(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        insert_event(connection, "a", "2026-03-01T10:00:00Z")
        insert_event(connection, "b", "2026-03-01T10:59:59.999999Z")
        insert_event(connection, "c", "2026-03-01T11:00:00Z")
    assert mark_count(engine) == {HOUR: 1, NEXT: 1}
    with engine.begin() as connection:
        insert_event(connection, "d", "2026-03-01T10:30:00Z")
    assert mark_count(engine) == {HOUR: 2, NEXT: 1}


def test_a_rolled_back_insert_leaves_no_mark(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        insert_event(connection, "a", "2026-03-01T10:00:00Z")
        connection.rollback()
    assert mark_count(engine) == {}


def test_a_deletion_marks_its_hour(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        insert_event(connection, "a", "2026-03-01T10:00:00Z")
        connection.execute(sa.text("delete from analytics.stale_partitions"))
    with engine.begin() as connection:
        connection.execute(sa.text("delete from analytics.contact_activity"))
    assert mark_count(engine) == {HOUR: 1}


def test_the_running_hour_and_the_future_are_left_to_the_clock(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        for number, ahead in enumerate(("0", "1 hour", "40 days")):
            late = sa.text(f"select now() + interval '{ahead}'")
            insert_event(connection, str(number), connection.execute(late).scalar_one())
    assert mark_count(engine) == {}


def test_two_open_transactions_mark_the_same_hour_twice(engine: sa.Engine) -> None:
    with engine.connect() as one, engine.connect() as two:
        insert_event(one, "a", "2026-03-01T10:10:00Z")
        insert_event(two, "b", "2026-03-01T10:20:00Z")
        two.commit()
        assert mark_count(engine) == {HOUR: 1}
        one.commit()
    assert mark_count(engine) == {HOUR: 2}


def test_only_the_marks_that_were_seen_are_removed(engine: sa.Engine) -> None:
    add(engine, HOUR, NEXT)
    with engine.begin() as connection:
        seen = stale_partitions.seen(connection, ASSET, [HOUR])
        assert [mark.partition for mark in seen] == [HOUR]
        add(engine, HOUR)
        stale_partitions.remove(connection, seen)
    assert mark_count(engine) == {HOUR: 1, NEXT: 1}


def test_a_partition_with_one_mark_that_nobody_asked_for_counts_as_never_asked(
    engine: sa.Engine,
) -> None:
    asked = instant("2026-03-01T12:00:00Z")
    add(engine, HOUR, NEXT, requested_at=asked)
    add(engine, HOUR)
    with engine.connect() as connection:
        assert stale_partitions.pending(connection)[ASSET].requested == {HOUR: None, NEXT: asked}


def test_the_latest_request_counts(engine: sa.Engine) -> None:
    first, second = instant("2026-03-01T12:00:00Z"), instant("2026-03-01T12:20:00Z")
    add(engine, HOUR, NEXT, requested_at=first)
    with engine.begin() as connection:
        stale_partitions.set_requested(connection, ASSET, [HOUR], second)
        assert stale_partitions.pending(connection)[ASSET].requested == {HOUR: second, NEXT: first}


def test_unfinished_only_leaves_out_what_was_done_or_is_marked(engine: sa.Engine) -> None:
    third = "2026-03-01-12:00"
    add(engine, NEXT)
    with engine.begin() as connection:
        stale_partitions.finish(connection, ASSET, {HOUR: 4})
        stale_partitions.add(connection, ASSET, [HOUR, NEXT, third], unfinished_only=True)
    assert mark_count(engine) == {NEXT: 1, third: 1}


def test_finishing_again_keeps_one_row_with_the_latest_number(engine: sa.Engine) -> None:
    for rows in (4, 0):
        with engine.begin() as connection:
            stale_partitions.finish(connection, ASSET, {HOUR: rows})
    with engine.connect() as connection:
        stored = connection.execute(
            sa.text("select partition, rows from analytics.finished_partitions")
        )
        assert [tuple(row) for row in stored] == [(HOUR, 0)]
        assert stale_partitions.finished(connection, ASSET, [HOUR, NEXT]) == {HOUR}
        assert stale_partitions.finished(connection, "analytics/other", [HOUR]) == set()


def test_unfinished_hours_of_a_day_are_those_that_are_over(engine: sa.Engine) -> None:
    zone = get_settings().zone
    day = window("day", "2026-03-01", zone)
    add(engine, "2026-03-01-01:00")
    with engine.begin() as connection:
        stale_partitions.finish(connection, ASSET, {"2026-03-01-00:00": 1})
        stale_partitions.add_unfinished_hours(
            connection, ASSET, [day], until=instant("2026-03-01T03:59Z")
        )
    assert mark_count(engine) == {f"2026-03-01-0{hour}:00": 1 for hour in (1, 2)}


def test_unfinished_hours_of_a_day_that_begins_at_half_past_hold_its_first_half(
    engine: sa.Engine,
) -> None:
    half_past = Window(
        instant("2026-02-28T18:30Z"), instant("2026-02-28T20:30Z"), "2026-03-01", "day"
    )
    with engine.begin() as connection:
        stale_partitions.add_unfinished_hours(
            connection, ASSET, [half_past], until=instant("2026-03-02T00:00Z")
        )
    assert sorted(mark_count(engine)) == [f"2026-02-28-{hour}:00" for hour in (18, 19, 20)]
