"""The score of new contacts, as a consumer of their events."""

from marketing_pipelines.domains.crm.events import ContactCreated
from marketing_pipelines.domains.crm.tasks import CRM_EVENTS
from marketing_pipelines.domains.leads import lead_writing, score_writing
from marketing_pipelines.queueing.bus import consumer
from marketing_pipelines.queueing.tasks import TaskContext
from marketing_pipelines.settings import get_settings


@consumer(ContactCreated, queue=CRM_EVENTS)
def score_contacts(context: TaskContext, event: ContactCreated) -> None:
    """Scores new contacts by the score rules."""
    with context.finishing() as connection:
        score_writing.lock_contacts(connection, event.contact_ids)
        lead_writing.write_contacts(
            connection,
            event.organization_id,
            context.clock(),
            get_settings().zone,
            event.contact_ids,
        )
