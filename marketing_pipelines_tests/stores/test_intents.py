"""An effect happens once per key, and only the latest claim may settle it."""

import datetime as dt
import threading

import pytest
import sqlalchemy as sa

from marketing_pipelines.stores import intents

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
LEASE = dt.timedelta(minutes=1)


@pytest.fixture
def table(engine: sa.Engine) -> sa.Table:
    """A table of greetings to send, one per contact."""
    greetings = sa.Table(
        "greetings",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("contact", sa.Text, unique=True),
        *intents.columns(),
        schema="ops",
    )
    with engine.begin() as connection:
        greetings.create(connection)
    return greetings


def record(engine: sa.Engine, table: sa.Table, *contacts: str) -> int:
    with engine.begin() as connection:
        rows = [{"contact": contact, "due_at": NOW} for contact in contacts]
        return intents.record(connection, table, rows)


def test_an_intent_recorded_twice_is_one(engine: sa.Engine, table: sa.Table) -> None:
    assert record(engine, table, "ann", "bob") == 2
    assert record(engine, table, "bob", "cid") == 1


def test_a_claimed_intent_is_not_claimed_again_while_its_lease_runs(
    engine: sa.Engine, table: sa.Table
) -> None:
    record(engine, table, "ann")
    with engine.begin() as connection:
        (claimed,) = intents.claim(connection, table, limit=5, lease=LEASE, now=NOW)
        assert (claimed.contact, claimed.claim, claimed.attempts) == ("ann", 1, 1)
        later = NOW + LEASE - dt.timedelta(seconds=1)
        assert intents.claim(connection, table, limit=5, lease=LEASE, now=later) == []


def test_what_is_not_due_is_left_alone(engine: sa.Engine, table: sa.Table) -> None:
    record(engine, table, "ann")
    with engine.begin() as connection:
        earlier = NOW - dt.timedelta(seconds=1)
        assert intents.claim(connection, table, limit=5, lease=LEASE, now=earlier) == []


def test_a_worker_that_wakes_up_after_its_lease_cannot_settle(
    engine: sa.Engine, table: sa.Table
) -> None:
    record(engine, table, "ann")
    with engine.begin() as connection:
        (paused,) = intents.claim(connection, table, limit=1, lease=LEASE, now=NOW)
        (second,) = intents.claim(connection, table, limit=1, lease=LEASE, now=NOW + LEASE)
        assert (second.claim, second.attempts) == (2, 2)
        with pytest.raises(intents.ClaimLostError, match=r"Claim 1 of ops\.greetings"):
            intents.settle(connection, table, paused, state="sent")
        intents.settle(connection, table, second, state="sent", reason="accepted")
        assert connection.execute(sa.select(table.c.state, table.c.reason)).all() == [
            ("sent", "accepted")
        ]


def test_an_intent_is_settled_once(engine: sa.Engine, table: sa.Table) -> None:
    record(engine, table, "ann")
    with engine.begin() as connection:
        (claimed,) = intents.claim(connection, table, limit=1, lease=LEASE, now=NOW)
        intents.settle(connection, table, claimed, state="sent")
        with pytest.raises(intents.ClaimLostError):
            intents.settle(connection, table, claimed, state="failed")


def test_an_act_that_began_is_never_claimed_again_and_given_up_when_its_lease_ends(
    engine: sa.Engine, table: sa.Table
) -> None:
    record(engine, table, "ann", "bob")
    with engine.begin() as connection:
        ann, _bob = intents.claim(connection, table, limit=2, lease=LEASE, now=NOW)
        intents.begin(connection, table, ann, lease=LEASE, now=NOW)
        (again,) = intents.claim(connection, table, limit=2, lease=LEASE, now=NOW + LEASE)
        assert again.contact == "bob"
        assert intents.give_up(connection, table, now=NOW + LEASE - dt.timedelta(seconds=1)) == 0
        assert intents.give_up(connection, table, now=NOW + LEASE) == 1
        with pytest.raises(intents.ClaimLostError):
            intents.settle(connection, table, ann, state="sent")
        states = connection.execute(sa.select(table.c.contact, table.c.state).order_by("id"))
        assert [tuple(row) for row in states] == [("ann", "unknown"), ("bob", "claimed")]


def test_a_batch_is_settled_at_once_but_for_what_is_no_longer_ours(
    engine: sa.Engine, table: sa.Table
) -> None:
    record(engine, table, "ann", "bob", "cyd")
    with engine.begin() as connection:
        assert intents.settle_all(connection, table, []) == set()
        ours = intents.claim(connection, table, limit=3, lease=LEASE, now=NOW)
        intents.begin(connection, table, ours[0], lease=LEASE, now=NOW)
        [lost] = intents.claim(connection, table, limit=1, lease=LEASE, now=NOW + LEASE)
        assert lost.id == ours[1].id
        ends = [
            {"id": row.id, "claim": row.claim, "state": state, "reason": reason, "attempts": tries}
            for row, (state, reason, tries) in zip(
                ours, [("sent", None, 1), ("sent", None, 1), ("queued", "later", 0)], strict=True
            )
        ]
        assert intents.settle_all(connection, table, ends) == {ours[0].id, ours[2].id}
        assert intents.settle_all(connection, table, ends) == set()
        columns = (table.c.contact, table.c.state, table.c.reason, table.c.attempts)
        states = connection.execute(sa.select(*columns).order_by(table.c.id)).all()
        assert [tuple(row) for row in states] == [
            ("ann", "sent", None, 1),
            ("bob", "claimed", None, 2),
            ("cyd", "queued", "later", 0),
        ]


def test_an_act_that_failed_is_tried_again_and_counts(engine: sa.Engine, table: sa.Table) -> None:
    record(engine, table, "ann")
    with engine.begin() as connection:
        (claimed,) = intents.claim(connection, table, limit=1, lease=LEASE, now=NOW)
        intents.begin(connection, table, claimed, lease=LEASE, now=NOW)
        intents.retry(connection, table, claimed, due_at=NOW + LEASE, reason="refused")
        assert intents.claim(connection, table, limit=1, lease=LEASE, now=NOW) == []
        (again,) = intents.claim(connection, table, limit=1, lease=LEASE, now=NOW + LEASE)
        assert (again.claim, again.attempts, again.reason) == (2, 2, "refused")


def test_an_intent_given_back_keeps_its_attempts_and_waits(
    engine: sa.Engine, table: sa.Table
) -> None:
    record(engine, table, "ann")
    tomorrow = NOW + dt.timedelta(days=1)
    with engine.begin() as connection:
        (claimed,) = intents.claim(connection, table, limit=1, lease=LEASE, now=NOW)
        intents.release(connection, table, claimed, due_at=tomorrow)
        assert intents.claim(connection, table, limit=1, lease=LEASE, now=NOW + LEASE) == []
        (again,) = intents.claim(connection, table, limit=1, lease=LEASE, now=tomorrow)
        assert (again.claim, again.attempts) == (2, 1)


def test_workers_that_claim_at_the_same_time_share_without_overlap(
    engine: sa.Engine, table: sa.Table
) -> None:
    record(engine, table, *(f"contact-{number}" for number in range(100)))
    claimed: list[list[str]] = []
    together = threading.Barrier(4)

    def work() -> None:
        with engine.begin() as connection:
            together.wait()
            rows = intents.claim(connection, table, limit=25, lease=LEASE, now=NOW)
            together.wait()
            claimed.append([row.contact for row in rows])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    contacts = [contact for part in claimed for contact in part]
    assert len(contacts) == len(set(contacts))
