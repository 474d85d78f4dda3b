"""The queues of events of the CRM, and their consumers in this domain."""

from marketing_pipelines.domains.crm.events import ContactCreated, DealStageChanged, FormSubmitted
from marketing_pipelines.domains.crm.new_contacts import assignment
from marketing_pipelines.domains.crm.timeline.bus_log import log_bus_events
from marketing_pipelines.queueing.bus import bulk_consumer, consumer
from marketing_pipelines.queueing.queues import Queue, declare
from marketing_pipelines.queueing.retries import Retry
from marketing_pipelines.queueing.tasks import TaskContext

RETRY = Retry.listed(1, 5, 30)
CRM_EVENTS = declare(Queue("crm-events", per_second="setting", retry=RETRY))
ACTIVITY_LOG = declare(Queue("activity-log", per_second="setting", retry=RETRY))


@consumer(ContactCreated, queue=CRM_EVENTS)
def assign_owners(context: TaskContext, event: ContactCreated) -> None:
    """Gives new contacts an owner in turn, unless they have one."""
    with context.finishing() as connection:
        assignment.assign_owners(connection, event.organization_id, event.contact_ids)


@bulk_consumer((FormSubmitted, DealStageChanged), queue=ACTIVITY_LOG)
def log_activities(context: TaskContext, event_ids: list[int]) -> None:
    """Writes submitted forms and changed stages of deals into the timeline."""
    with context.finishing() as connection:
        log_bus_events(connection, event_ids)
