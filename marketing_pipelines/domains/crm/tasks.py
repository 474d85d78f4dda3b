"""The queue of this domain's tasks."""

from marketing_pipelines.queueing.queues import Queue, declare
from marketing_pipelines.queueing.retries import Retry

CRM_EVENTS = declare(Queue("crm-events", per_second="setting", retry=Retry.listed(1, 5, 30)))
