"""The files of organizations, users, companies and contacts."""

from marketing_pipelines.domains.crm.tables import companies, contacts, organizations, users
from marketing_pipelines.stores.kinds import (
    CREATED_AT,
    EXTERNAL_ID,
    Column,
    Kind,
    Reference,
)

# A contact that a file of another kind names.
CONTACT = Reference(contacts, stub=(("source", "'stub'"),))
KINDS = (
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
            Column("notify_by_mail", "boolean", empty="true"),
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
            EXTERNAL_ID,
            Column("email"),
            Column("phone"),
            Column("first_name"),
            Column("last_name"),
            Column("company_id", reference=Reference(companies)),
            Column("owner_id", reference=Reference(users)),
            Column("lifecycle_stage"),
            Column("lead_grade"),
            Column("intent_score", "integer"),
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
