"""What each kind of entity file may hold: the one place to declare another kind.

Identifiers in generated SQL come from here and from nowhere else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.tables import campaigns
from marketing_pipelines.domains.crm.tables import companies, contacts, organizations, users
from marketing_pipelines.domains.lifecycle.tables import enrolments
from marketing_pipelines.domains.segments.rules import problem_of
from marketing_pipelines.domains.segments.tables import manual_members, segments

Type = Literal["text", "integer", "instant", "zone", "object"]


@dataclass(frozen=True)
class Reference:
    """A column that holds the external id of another entity of the same organization.

    Args:
        stub: column values, as SQL, of the stub that an unknown id becomes.
    """

    table: sa.Table
    stub: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Column:
    """A column that a file may have.

    Args:
        column: the table's column, where it has another name.
        problem: what is wrong with a value that has the right type; None: nothing.
        choices: the only values allowed; empty: any.
        required: an empty cell is refused, and a file without the column too.
        empty: what an empty cell means, as SQL; None: null.
        keep: an empty cell changes nothing.
    """

    name: str
    type: Type = "text"
    choices: tuple[str, ...] = ()
    required: bool = False
    empty: str | None = None
    keep: bool = False
    reference: Reference | None = None
    column: str | None = None
    problem: Callable[[str], str | None] | None = None

    @property
    def stored(self) -> str:
        """The table's column."""
        return self.column or self.name


@dataclass(frozen=True)
class Kind:
    """One kind of entity.

    Args:
        key: columns that identify a row, besides the organization.
        fixed: columns, with values as SQL, that every row of the kind has besides its key.
        attributes: the table keeps unknown columns; otherwise they are refused.
        tenants: the rows are organizations themselves.
    """

    name: str
    table: sa.Table
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    fixed: tuple[tuple[str, str], ...] = ()
    attributes: bool = True
    tenants: bool = False

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without which a file is refused."""
        own = tuple(column.name for column in self.columns if column.required)
        return own if self.tenants else ("organization_id", *own)

    @property
    def known(self) -> tuple[str, ...]:
        """Columns that a file may have; others become attributes."""
        own = tuple(column.name for column in self.columns)
        return own if self.tenants else ("organization_id", *own)

    @property
    def stored_key(self) -> tuple[str, ...]:
        """The table's columns that identify a row, besides the organization."""
        stored = {column.name: column.stored for column in self.columns}
        return tuple(stored[name] for name in self.key)

    @property
    def references(self) -> tuple[Column, ...]:
        """The columns that name other entities."""
        return tuple(column for column in self.columns if column.reference is not None)


_EXTERNAL_ID = Column("external_id", required=True)
_CREATED_AT = Column("created_at", "instant", keep=True)
_CAMPAIGN = Reference(campaigns, stub=(("status", "'imported'"),))
_CAMPAIGN_STATUSES = (
    "draft",
    "scheduled",
    "active",
    "paused",
    "completed",
    "cancelled",
    "imported",
)

KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "organizations",
            organizations,
            key=("external_id",),
            columns=(
                _EXTERNAL_ID,
                Column("name"),
                Column("timezone", "zone"),
                Column("settings", "object", empty="'{}'"),
                _CREATED_AT,
            ),
            tenants=True,
        ),
        Kind(
            "users",
            users,
            key=("external_id",),
            columns=(
                _EXTERNAL_ID,
                Column("email"),
                Column("name"),
                Column("role", choices=("admin", "manager", "rep"), empty="'rep'"),
                _CREATED_AT,
            ),
        ),
        Kind(
            "companies",
            companies,
            key=("external_id",),
            columns=(_EXTERNAL_ID, Column("name"), Column("domain"), _CREATED_AT),
        ),
        Kind(
            "contacts",
            contacts,
            key=("external_id",),
            columns=(
                _EXTERNAL_ID,
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
                _CREATED_AT,
            ),
        ),
        Kind(
            "campaigns",
            campaigns,
            key=("external_id",),
            columns=(
                _EXTERNAL_ID,
                Column("name"),
                Column("status", choices=_CAMPAIGN_STATUSES, empty="'draft'"),
                Column("started_at", "instant"),
                Column("paused_at", "instant"),
                Column("completed_at", "instant"),
                Column("cancelled_at", "instant"),
                _CREATED_AT,
            ),
        ),
        Kind(
            "campaign_contacts",
            enrolments,
            key=("campaign_id", "contact_id"),
            fixed=(("program_kind", "'campaign'"), ("rotation", "1")),
            columns=(
                Column("campaign_id", required=True, reference=_CAMPAIGN, column="program_id"),
                Column("contact_id", required=True, reference=Reference(contacts)),
                Column(
                    "status",
                    choices=("active", "completed", "exited", "failed"),
                    empty="'active'",
                ),
                Column("entered_at", "instant", required=True),
                Column("completed_at", "instant"),
                Column("exited_at", "instant"),
            ),
            attributes=False,
        ),
        Kind(
            "segments",
            segments,
            key=("external_id",),
            columns=(
                _EXTERNAL_ID,
                Column("name"),
                Column("rule", "object", empty="""'{"any": []}'""", problem=problem_of),
                Column("evaluated", choices=("always", "on_use"), empty="'always'"),
                _CREATED_AT,
            ),
        ),
        Kind(
            "segment_members",
            manual_members,
            key=("segment", "contact_id"),
            columns=(
                Column(
                    "segment", required=True, reference=Reference(segments), column="segment_id"
                ),
                Column("contact_id", required=True, reference=Reference(contacts)),
                Column("action", choices=("add", "remove", "clear"), required=True),
            ),
            attributes=False,
        ),
    )
}
