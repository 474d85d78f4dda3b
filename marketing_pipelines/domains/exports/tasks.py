"""The queue of exports and its task."""

import datetime as dt

from marketing_pipelines.queueing.queues import KeptTasks, Queue, declare
from marketing_pipelines.queueing.retries import Retry
from marketing_pipelines.queueing.tasks import TaskContext, task

# What bounds an attempt is the time without progress; this only ends one that cannot be ended so.
TIMEOUT = dt.timedelta(hours=12)
EXPORTS = declare(
    Queue(
        "exports",
        concurrency=2,
        retry=Retry.listed(5),
        keep_completed=KeptTasks(dt.timedelta(hours=24), 100),
        keep_failed=KeptTasks(dt.timedelta(days=7), 50),
    )
)


@task(queue=EXPORTS, timeout=TIMEOUT)
def work_request(context: TaskContext, request_id: int, organization_id: int) -> None:
    """Writes the file of a request."""
    # Arrow and the formats are for workers only.
    from marketing_pipelines.domains.exports.working import work

    work(context, request_id)
