"""The files of activities, meetings and tasks."""

from collections.abc import Iterable

import sqlalchemy as sa

from marketing_pipelines.domains.crm.deals.load import DEAL
from marketing_pipelines.domains.crm.references import COMPANY, CONTACT, USER
from marketing_pipelines.domains.crm.timeline.tables import (
    ACTIVITY_KINDS,
    DIRECTIONS,
    MEETING_STATUSES,
    TASK_STATES,
    activities,
    meetings,
    tasks,
)
from marketing_pipelines.stores.kinds import (
    CREATED_AT,
    EXTERNAL_ID,
    MAX_INDEXED,
    Column,
    FileRow,
    Kind,
    RefusedRow,
)

_ENDS_TOO_EARLY = sa.text("""
    select line
    from (
        select loaded.line,
               case when loaded.fields -> 'starts_at' is null then known.starts_at
                   else cast(loaded.fields ->> 'starts_at' as timestamptz) end as starts_at,
               case when loaded.fields -> 'ends_at' is null then known.ends_at
                   else cast(loaded.fields ->> 'ends_at' as timestamptz) end as ends_at
        from loaded_meetings as loaded
        left join crm.organizations as organization
            on organization.external_id = loaded.organization_id
        left join crm.meetings as known
            on known.organization_id = organization.id and known.external_id = loaded.external_id
    ) as asked
    where ends_at < starts_at
    order by line
""")


def _meetings_that_end_too_early(connection: sa.Connection) -> Iterable[RefusedRow]:
    for row in connection.execute(_ENDS_TOO_EARLY):
        yield RefusedRow(row.line, "ends_at", "lies before starts_at")


def _done_at_problem(row: FileRow) -> str | None:
    if row.get("done_at") and "state" in row and row["state"] != "done":
        return "is set, but the state is not done"
    return None


TIMELINE_KINDS = (
    Kind(
        "activities",
        activities,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("kind", choices=ACTIVITY_KINDS, required=True),
            Column("direction", choices=DIRECTIONS),
            Column("contact_id", reference=CONTACT),
            Column("deal_id", reference=DEAL),
            Column("company_id", reference=COMPANY),
            Column("user_id", reference=USER),
            Column("occurred_at", "instant", required=True),
            Column("subject"),
            Column("text"),
            Column("source", empty="'file'"),
            Column("ref"),
        ),
        attributes=False,
    ),
    Kind(
        "meetings",
        meetings,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("title"),
            Column("starts_at", "instant", required=True),
            Column("ends_at", "instant"),
            Column("owner_id", reference=USER),
            Column("deal_id", reference=DEAL),
            Column("attendees", "list", names=("external_id", "email"), longest=MAX_INDEXED),
            Column("status", choices=MEETING_STATUSES, empty="'planned'"),
            CREATED_AT,
        ),
        refused=_meetings_that_end_too_early,
    ),
    Kind(
        "tasks",
        tasks,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("contact_id", reference=CONTACT),
            Column("deal_id", reference=DEAL),
            Column("owner_id", reference=USER),
            Column("title", required=True),
            Column("state", choices=TASK_STATES, empty="'open'"),
            Column("due_at", "instant"),
            Column("done_at", "instant", keep=True, empty="null", problem=_done_at_problem),
            CREATED_AT,
        ),
        # Of a task that a job made, these say which; a file names its own by its id alone.
        fixed=(("job", "'file'"), ("subject", "loaded.external_id"), ("period", "''")),
        attributes=False,
    ),
)
