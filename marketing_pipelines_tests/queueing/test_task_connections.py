"""The connections of a task."""

import threading
import time

import sqlalchemy as sa

from marketing_pipelines.queueing.outcomes import Claim
from marketing_pipelines.queueing.tasks import TaskContext


def test_a_connection_that_is_given_up_ends_without_an_error(engine: sa.Engine) -> None:
    deadline = time.monotonic() + 60
    context = TaskContext(
        claim=Claim(1, 1),
        queue="messages",
        attempt=1,
        is_last=False,
        engine=engine,
        deadline=deadline,
        worker_stops=threading.Event(),
        return_by=deadline,
    )
    with context.committing_each() as connection:
        connection.invalidate()
    with context.committing_each() as connection:
        left = connection.execute(sa.text("show statement_timeout")).scalar_one()
        assert left != "0"
    with engine.connect() as connection:
        assert connection.execute(sa.text("show statement_timeout")).scalar_one() != left
