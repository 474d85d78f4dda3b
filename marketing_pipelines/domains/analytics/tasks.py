"""The bridge from the bus to the activity of contacts."""

from marketing_pipelines.domains.analytics import bridging
from marketing_pipelines.queueing.bus import ABOUT_CONTACTS, bulk_consumer
from marketing_pipelines.queueing.queues import Queue, declare
from marketing_pipelines.queueing.retries import Retry
from marketing_pipelines.queueing.tasks import TaskContext

WORKFLOW_BRIDGE = declare(
    Queue("workflow-bridge", per_second="setting", retry=Retry.listed(1, 5, 30))
)


@bulk_consumer(ABOUT_CONTACTS, queue=WORKFLOW_BRIDGE)
def bridge_events(context: TaskContext, event_ids: list[int]) -> None:
    """Writes bus events into the activity of their contacts."""
    with context.finishing() as connection:
        bridging.bridge_events(connection, event_ids, context.clock())
