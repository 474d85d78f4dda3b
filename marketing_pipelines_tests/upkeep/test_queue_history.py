"""Finished tasks are kept as long and as many as their queue says; dead letters stay."""

import datetime as dt

import pytest
import sqlalchemy as sa

from marketing_pipelines.queueing import control
from marketing_pipelines.queueing.queues import KeptTasks, Queue
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.queueing.installed import put, scalar

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


def ended(engine: sa.Engine, status: str, ago: dt.timedelta, count: int = 1) -> list[int]:
    """Tasks that ended so long before NOW."""
    ids = put(engine, "write", count)
    values = {"ids": ids, "status": status, "at": NOW - ago}
    with engine.begin() as connection:
        for statement in (
            "update procrastinate_jobs set status = cast(:status as procrastinate_job_status)"
            " where id = any(:ids)",
            "update procrastinate_events set at = :at where job_id = any(:ids)",
        ):
            connection.execute(sa.text(statement), values)
    return ids


def removed_of(engine: sa.Engine, queue: Queue) -> int:
    with engine.begin() as connection:
        return control.remove_history(connection, queue, NOW)


@pytest.mark.parametrize(
    ("status", "kept"),
    [("succeeded", dt.timedelta(hours=24)), ("failed", dt.timedelta(days=7))],
)
def test_what_is_as_old_as_it_may_be_is_kept_and_a_second_more_is_too_much(
    queue: sa.Engine, status: str, kept: dt.timedelta
) -> None:
    young = ended(queue, status, kept)
    ended(queue, status, kept + SECOND)
    assert removed_of(queue, Queue("default")) == 1
    assert [scalar(queue, "select id from procrastinate_jobs")] == young
    assert removed_of(queue, Queue("default")) == 0


def test_of_too_many_the_newest_are_kept(queue: sa.Engine) -> None:
    for hours in range(5):
        ended(queue, "succeeded", dt.timedelta(hours=hours))
        ended(queue, "failed", dt.timedelta(hours=hours))
    few = Queue(
        "default",
        keep_completed=KeptTasks(dt.timedelta(days=1), 2),
        keep_failed=KeptTasks(dt.timedelta(days=1), 3),
    )
    assert removed_of(queue, few) == 5
    left = "select string_agg(status::text, ' ' order by id) from procrastinate_jobs"
    assert scalar(queue, left) == "succeeded failed succeeded failed failed"


def test_what_waits_or_is_in_hand_and_other_queues_are_left_alone(queue: sa.Engine) -> None:
    put(queue, "write", 3)
    ended(queue, "doing", dt.timedelta(days=30))
    ended(queue, "todo", dt.timedelta(days=30))
    ended(queue, "succeeded", dt.timedelta(days=30))
    assert removed_of(queue, Queue("another")) == 0
    assert removed_of(queue, Queue("default")) == 1


def test_clean_removes_what_ended_before_the_age(queue: sa.Engine) -> None:
    ended(queue, "failed", dt.timedelta())
    put(queue, "write")
    with queue.begin() as connection:
        assert control.clean(connection, "default", dt.timedelta(days=200_000)) == 0
        assert control.clean(connection, "default", dt.timedelta()) == 1
        assert control.clean(connection, "default", dt.timedelta()) == 0


def test_the_job_says_what_it_removed_and_a_second_run_removes_nothing(
    installation: Installation, queue: sa.Engine
) -> None:
    ended(queue, "succeeded", dt.timedelta(hours=25), 3)
    ended(queue, "succeeded", dt.timedelta(hours=23), 2)
    for removed in (3, 0):
        [outcome] = installation.run("upkeep/queue_history", at=NOW)
        assert (outcome.status, outcome.rows) == ("COMPLETED", removed)
    assert scalar(queue, "select count(*) from procrastinate_jobs") == 2
