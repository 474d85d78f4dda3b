"""The files of campaigns and sequences, of their contacts and triggers."""

from marketing_pipelines.domains.campaigns.tables import CAMPAIGN, SEQUENCE, campaigns, sequences
from marketing_pipelines.domains.lifecycle.load import (
    ending_file_columns,
    enrolment_files,
    program_files,
    status_instant,
    trigger_files,
)
from marketing_pipelines.stores.kinds import (
    CREATED_AT,
    EXTERNAL_ID,
    Column,
    Kind,
    Reference,
)

# A campaign that events or other files name, and no file of campaigns has.
_CAMPAIGN = Reference(campaigns, stub=(("status", "'imported'"),))
STATUSES = (
    "draft",
    "scheduled",
    "active",
    "paused",
    "completed",
    "cancelled",
    "imported",
)

KINDS = (
    Kind(
        "campaigns",
        campaigns,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("name"),
            Column("status", choices=STATUSES, empty="'draft'"),
            status_instant("started_at"),
            status_instant("paused_at"),
            status_instant("completed_at"),
            status_instant("cancelled_at"),
            Column("audience", choices=("closed", "open"), empty="'closed'"),
            *ending_file_columns(),
            CREATED_AT,
        ),
    ),
    program_files(SEQUENCE),
    enrolment_files("campaign_contacts", CAMPAIGN, _CAMPAIGN),
    enrolment_files("sequence_enrolments", SEQUENCE, Reference(sequences)),
    trigger_files(CAMPAIGN, _CAMPAIGN),
)
