"""The job of this domain; its asset is named after the rows that it writes."""

import datetime as dt

from marketing_pipelines.domains.crm import sources as crm
from marketing_pipelines.domains.inbox import synchronizing, tables
from marketing_pipelines.domains.integrations import sources
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tick import Tick

INBOX = Domain("inbox", owner=Team.REVENUE)


@INBOX.job(
    cron="*/5 * * * *",
    deps=[sources.connections, crm.contacts],
    table=tables.email_messages,
    items=True,
    timeout=dt.timedelta(minutes=5),
)
def email_messages(tick: Tick) -> None:
    """Reads new mail of connected mailboxes, and stores the mails from and to contacts."""
    synchronizing.synchronize(tick)
