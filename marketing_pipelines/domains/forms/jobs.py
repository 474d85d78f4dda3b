"""The job of this domain."""

import datetime as dt

from marketing_pipelines.domains.crm import sources as crm
from marketing_pipelines.domains.forms import reading, sources
from marketing_pipelines.domains.forms.tables import submissions
from marketing_pipelines.domains.integrations import sources as integrations
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tick import Tick

FORMS = Domain("forms", owner=Team.REVENUE)


@FORMS.job(
    cron="*/10 * * * *",
    deps=[sources.forms, integrations.connections, crm.contacts],
    table=submissions,
    items=True,
    timeout=dt.timedelta(minutes=9),
)
def sheet_submissions(tick: Tick) -> None:
    """Reads the sheets of forms: new rows become submissions, and their people contacts."""
    reading.read_sheets(tick)
