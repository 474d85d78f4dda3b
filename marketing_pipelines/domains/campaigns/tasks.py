"""The welcome mail to new contacts, as a consumer of their events."""

from marketing_pipelines.domains.campaigns.welcoming import welcome
from marketing_pipelines.domains.crm.events import ContactCreated
from marketing_pipelines.domains.crm.tasks import CRM_EVENTS
from marketing_pipelines.queueing.bus import consumer
from marketing_pipelines.queueing.tasks import TaskContext


@consumer(ContactCreated, queue=CRM_EVENTS)
def welcome_contacts(context: TaskContext, event: ContactCreated) -> None:
    """Queues the welcome mail of new contacts, where the organization sends one."""
    with context.finishing() as connection:
        welcome(connection, event, context.clock())
