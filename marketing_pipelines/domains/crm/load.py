"""The files of organizations, users, companies, contacts, and of their sales."""

from dataclasses import replace

from marketing_pipelines.domains.crm.deals.load import DEAL_KINDS
from marketing_pipelines.domains.crm.destinations.load import DESTINATION_KINDS
from marketing_pipelines.domains.crm.references import COMPANY, USER
from marketing_pipelines.domains.crm.tables import (
    BANDS,
    LEAD_STATUSES,
    companies,
    contacts,
    organizations,
    users,
)
from marketing_pipelines.domains.crm.timeline.load import TIMELINE_KINDS
from marketing_pipelines.stores.kinds import CREATED_AT, EXTERNAL_ID, MAX_INDEXED, Column, Kind

KINDS = (
    *DEAL_KINDS,
    *DESTINATION_KINDS,
    *TIMELINE_KINDS,
    Kind(
        "organizations",
        organizations,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("name"),
            Column("timezone", "zone"),
            Column("settings", "object", empty="'{}'"),
            CREATED_AT,
        ),
        tenants=True,
    ),
    Kind(
        "users",
        users,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("email"),
            Column("name"),
            Column("role", choices=("admin", "manager", "rep"), empty="'rep'"),
            Column("notify_by_mail", "boolean"),
            Column("active", "boolean", empty="true"),
            CREATED_AT,
        ),
    ),
    Kind(
        "companies",
        companies,
        key=("external_id",),
        columns=(EXTERNAL_ID, Column("name"), Column("domain"), CREATED_AT),
    ),
    Kind(
        "contacts",
        contacts,
        key=("external_id",),
        columns=(
            replace(EXTERNAL_ID, names=("external_id",)),
            Column("email", names=("email",), longest=MAX_INDEXED),
            Column("phone", names=("sms",), longest=MAX_INDEXED),
            Column("first_name"),
            Column("last_name"),
            Column("company_id", reference=COMPANY),
            Column("owner_id", reference=USER),
            Column("lifecycle_stage"),
            Column("lead_grade"),
            Column("intent_score", "integer"),
            Column("lead_score", "integer", least=0, most=100),
            Column("intent_band", choices=BANDS),
            Column("lead_status", choices=LEAD_STATUSES),
            Column("lead_status_at", "instant", keep=True, empty="null"),
            Column("lifecycle_stage_at", "instant", keep=True, empty="null"),
            Column("manual_override", "boolean"),
            Column("enriched_at", "instant"),
            Column("enriched_fields", "list"),
            Column("next_follow_up_at", "instant"),
            Column("follow_up_note"),
            Column("tags", "list"),
            Column("timezone", "zone"),
            CREATED_AT,
        ),
        named=(
            (
                "source",
                "case when known.source in ('api', 'stub') then 'import' else known.source end",
            ),
        ),
    ),
)
