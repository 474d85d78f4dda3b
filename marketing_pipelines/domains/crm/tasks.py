"""The queue of events of the CRM, and its consumers in this domain."""

from marketing_pipelines.domains.crm.events import ContactCreated
from marketing_pipelines.domains.crm.new_contacts import assignment
from marketing_pipelines.queueing.bus import consumer
from marketing_pipelines.queueing.queues import Queue, declare
from marketing_pipelines.queueing.retries import Retry
from marketing_pipelines.queueing.tasks import TaskContext

CRM_EVENTS = declare(Queue("crm-events", per_second="setting", retry=Retry.listed(1, 5, 30)))


@consumer(ContactCreated, queue=CRM_EVENTS)
def assign_owners(context: TaskContext, event: ContactCreated) -> None:
    """Gives new contacts an owner in turn, unless they have one."""
    with context.finishing() as connection:
        assignment.assign_owners(connection, event.organization_id, event.contact_ids)
