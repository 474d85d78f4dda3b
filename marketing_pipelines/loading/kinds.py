"""The kinds of entity file and their columns: the one place to declare another kind.

Identifiers in generated SQL come from here and from nowhere else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.tables import campaigns, sequences
from marketing_pipelines.domains.crm.tables import companies, contacts, organizations, users
from marketing_pipelines.domains.delivery.tables import CHANNELS, suppressions
from marketing_pipelines.domains.journeys.tables import journeys
from marketing_pipelines.domains.lifecycle import steps, trigger_configs
from marketing_pipelines.domains.lifecycle import tables as lifecycle
from marketing_pipelines.domains.lifecycle.programs import programs
from marketing_pipelines.domains.segments import rules
from marketing_pipelines.domains.segments.tables import manual_members, segments

Type = Literal["text", "integer", "instant", "zone", "object", "boolean"]
Row = Mapping[str, str | None]


@dataclass(frozen=True)
class Reference:
    """A column that holds the external id of another entity of the same organization.

    Args:
        table: a table, or a view that stubs can be inserted into.
        stub: column values, as SQL, of the stub that an unknown id becomes.
        beside: where the id alone is not enough, columns of the table, each with the column of the
            kind's key that holds its value.
    """

    table: sa.TableClause
    stub: tuple[tuple[str, str], ...] = ()
    beside: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Column:
    """A column that a file may have.

    Args:
        column: the table's column, where it has another name.
        problem: what is wrong with it in a row, given the columns that the row sets (an empty
            cell is None), whose types are not checked yet; None: nothing.
        choices: the only values allowed; empty: any.
        required: an empty cell is refused, and a file without the column too.
        empty: what an empty cell means, as SQL; None: null.
        keep: an empty cell changes nothing.
        only_if: what must hold for a row that is there to be changed, as SQL of `stored`, the row,
            and `changed`, what the file makes of it; None: nothing.
    """

    name: str
    type: Type = "text"
    choices: tuple[str, ...] = ()
    required: bool = False
    empty: str | None = None
    keep: bool = False
    only_if: str | None = None
    reference: Reference | None = None
    column: str | None = None
    problem: Callable[[Row], str | None] | None = None

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
_ENABLED = Column("enabled", "boolean", empty="true")
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


def _rule_problem(row: Row) -> str | None:
    rule = row.get("rule")
    return None if rule is None else rules.problem_of(rule)


def _step_problem(row: Row) -> str | None:
    if "config" not in row:
        return None
    return steps.problem_of(row.get("type") or "", row["config"] or "{}")


def _trigger_segment_problem(row: Row) -> str | None:
    if row.get("type") == "segment" and not row.get("segment"):
        return "is missing: a trigger of type segment names one"
    return _unused(row, "segment")


def _trigger_event_problem(row: Row) -> str | None:
    if row.get("type") != "event":
        return _unused(row, "event_type")
    event = row.get("event_type")
    return steps.event_problem(event) if event else "is missing: a trigger of type event names one"


def _trigger_config_problem(row: Row) -> str | None:
    config = row.get("config") or "{}"
    if row.get("type") == "date":
        return trigger_configs.problem_of_date(config)
    if row.get("type") == "event":
        return trigger_configs.problem_of_event(config)
    return None if _is_empty(config) else _unused(row, "config")


def _is_empty(config: str) -> bool:
    try:
        return steps.read_object(config) == {}
    except ValueError:
        # The column's type says what is wrong with it.
        return True


def _unused(row: Row, column: str) -> str | None:
    return trigger_configs.unused(row.get("type") or "", column) if row.get(column) else None


def _status_instant(name: str) -> Column:
    """Returns the column of an instant of a program's status. The database writes it if no file
    names it; an empty cell clears it only before the program starts."""
    return Column(
        name,
        "instant",
        only_if=f"changed.{name} is not null"
        " or changed.status in ('draft', 'scheduled', 'imported')",
    )


def _programs(name: str, table: sa.Table) -> Kind:
    return Kind(
        name,
        table,
        key=("external_id",),
        columns=(
            _EXTERNAL_ID,
            Column("name"),
            Column("status", choices=("draft", "active", "paused", "cancelled"), empty="'draft'"),
            _status_instant("started_at"),
            _status_instant("paused_at"),
            _status_instant("cancelled_at"),
            _CREATED_AT,
        ),
    )


# Contacts move on by themselves: a file may end what is under way, and undoes no end.
_BEFORE_STEPS = "stored.step_id is null"
_ENDS = "stored.status = 'active' and changed.status <> 'active'"


def _enrolments(name: str, program: str, reference: Reference) -> Kind:
    return Kind(
        name,
        lifecycle.enrolments,
        key=(f"{program}_id", "contact_id"),
        fixed=(("program_kind", f"'{program}'"), ("rotation", "1")),
        columns=(
            Column(f"{program}_id", required=True, reference=reference, column="program_id"),
            Column("contact_id", required=True, reference=Reference(contacts)),
            Column(
                "status",
                choices=("active", "completed", "exited", "failed"),
                empty="'active'",
                only_if=_ENDS,
            ),
            Column("entered_at", "instant", required=True, only_if=_BEFORE_STEPS),
            Column("completed_at", "instant", only_if=_ENDS),
            Column("exited_at", "instant", only_if=_ENDS),
        ),
        attributes=False,
    )


def _triggers(name: str, program: str, reference: Reference) -> Kind:
    return Kind(
        name,
        lifecycle.triggers,
        key=(f"{program}_id", "external_id"),
        fixed=(("program_kind", f"'{program}'"),),
        columns=(
            Column(f"{program}_id", required=True, reference=reference, column="program_id"),
            _EXTERNAL_ID,
            Column("type", choices=("segment", "event", "date"), required=True),
            Column(
                "segment",
                reference=Reference(segments),
                column="segment_id",
                problem=_trigger_segment_problem,
            ),
            Column("event_type", problem=_trigger_event_problem),
            Column("config", "object", empty="'{}'", problem=_trigger_config_problem),
            Column("policy", choices=lifecycle.POLICIES, empty="'once'"),
            _ENABLED,
            _CREATED_AT,
        ),
        attributes=False,
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
                _status_instant("started_at"),
                _status_instant("paused_at"),
                _status_instant("completed_at"),
                _status_instant("cancelled_at"),
                Column("audience", choices=("closed", "open"), empty="'closed'"),
                _CREATED_AT,
            ),
        ),
        _programs("sequences", sequences),
        _programs("journeys", journeys),
        Kind(
            "steps",
            lifecycle.steps,
            key=("program_kind", "program", "external_id"),
            columns=(
                Column("program_kind", choices=lifecycle.KINDS, required=True),
                Column(
                    "program",
                    required=True,
                    reference=Reference(programs, beside=(("kind", "program_kind"),)),
                    column="program_id",
                ),
                _EXTERNAL_ID,
                Column("name"),
                Column("position", "integer", required=True),
                Column("type", choices=lifecycle.STEP_TYPES, required=True),
                Column("config", "object", empty="'{}'", problem=_step_problem),
                _ENABLED,
            ),
            attributes=False,
        ),
        _enrolments("campaign_contacts", "campaign", _CAMPAIGN),
        _enrolments("sequence_enrolments", "sequence", Reference(sequences)),
        Kind(
            "segments",
            segments,
            key=("external_id",),
            columns=(
                _EXTERNAL_ID,
                Column("name"),
                Column("rule", "object", empty="""'{"any": []}'""", problem=_rule_problem),
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
        _triggers("campaign_triggers", "campaign", _CAMPAIGN),
        _triggers("journey_triggers", "journey", Reference(journeys)),
        Kind(
            "suppressions",
            suppressions,
            key=("contact_id", "channel", "reason"),
            columns=(
                Column("contact_id", required=True, reference=Reference(contacts)),
                Column("channel", choices=(*CHANNELS, "all"), empty="'email'"),
                Column(
                    "reason",
                    choices=("unsubscribed", "hard_bounce", "complaint", "do_not_contact"),
                    required=True,
                ),
                Column("since", "instant", keep=True),
            ),
            attributes=False,
        ),
    )
}
