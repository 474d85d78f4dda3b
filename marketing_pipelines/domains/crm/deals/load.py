"""The files of deals and opportunities."""

from marketing_pipelines.domains.crm.deals.tables import DEAL_STATUSES, deals, opportunities
from marketing_pipelines.domains.crm.references import COMPANY, CONTACT, USER
from marketing_pipelines.stores.kinds import CREATED_AT, EXTERNAL_ID, Column, Kind, Reference

# A deal that a file of another kind names.
DEAL = Reference(deals, stub=(("status", "null"),))
# A new deal has its stage since it came to be.
_SINCE = "coalesce(cast(loaded.fields ->> 'created_at' as timestamptz), now())"

DEAL_KINDS = (
    Kind(
        "deals",
        deals,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("name"),
            Column("contact_id", reference=CONTACT),
            Column("company_id", reference=COMPANY),
            Column("owner_id", reference=USER),
            Column("pipeline"),
            Column("stage"),
            Column("status", choices=DEAL_STATUSES, empty="'open'"),
            Column("amount", "number", least=0),
            Column("currency"),
            Column("expected_close_on", "date"),
            Column("closed_at", "instant"),
            Column("stage_changed_at", "instant", keep=True, empty=_SINCE),
            Column("tags", "list"),
            CREATED_AT,
        ),
    ),
    Kind(
        "opportunities",
        opportunities,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("contact_id", reference=CONTACT),
            Column("stage"),
            Column("travel_date", "date"),
            Column("score", "integer", empty="0"),
            Column("deleted", "boolean", empty="false"),
            CREATED_AT,
        ),
    ),
)
