"""The kinds of export that PostgreSQL's tables hold: their columns, order and instants.

Contacts, deals and activities have the columns that `load` takes, so that their files load again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from psycopg import sql

from marketing_pipelines.domains.analytics.tables import STAT_TYPES, campaign_daily_stats
from marketing_pipelines.domains.delivery.tables import messages
from marketing_pipelines.domains.exports.columns import CellType, ExportColumn, columns_of
from marketing_pipelines.loading.kinds import kinds

ALIAS = "stored"
_DAY = sql.SQL(
    "(stored.date::timestamp at time zone"
    " coalesce(organization.timezone, (select timezone from ops.installation)))"
)


@dataclass(frozen=True)
class TableKind:
    """A kind of export whose rows stand in one table.

    Attributes:
        table: Its rows; `stored` in SQL.
        columns: Its columns, without attributes.
        joins: The joins that the values need.
        instant: SQL of the instant that `from` and `to` choose by.
        order: SQL of the order.
        contact: SQL of the contact's number; None where rows are about no contact.
        attributes: True if attributes follow the columns.
    """

    name: str
    table: sa.Table
    columns: tuple[ExportColumn, ...]
    joins: sql.Composable
    instant: sql.Composable
    order: sql.Composable
    contact: sql.Composable | None
    attributes: bool = False


@cache
def table_kinds() -> Mapping[str, TableKind]:
    """Returns the kinds by name."""
    found = (_contacts(), _messages(), _campaign_stats(), _loaded("deals"), _loaded("activities"))
    return {kind.name: kind for kind in found}


def _contacts() -> TableKind:
    columns, joins = columns_of(kinds()["contacts"], ALIAS)
    return TableKind(
        "contacts",
        kinds()["contacts"].table,
        tuple(columns),
        joins,
        instant=sql.SQL("stored.created_at"),
        order=sql.SQL("stored.external_id"),
        contact=sql.SQL("stored.id"),
        attributes=True,
    )


def _loaded(name: str) -> TableKind:
    """Deals or activities, by their instant and then their external id."""
    kind = kinds()[name]
    columns, joins = columns_of(kind, ALIAS)
    instant = sql.Identifier(ALIAS, "created_at" if name == "deals" else "occurred_at")
    return TableKind(
        name,
        kind.table,
        tuple(columns),
        joins,
        instant=instant,
        order=sql.SQL("{}, stored.external_id").format(instant),
        contact=sql.SQL("stored.contact_id"),
        attributes=kind.attributes,
    )


def _messages() -> TableKind:
    own: tuple[tuple[str, CellType], ...] = (
        ("address", "text"),
        ("kind", "text"),
        ("program_kind", "text"),
    )
    after: tuple[tuple[str, CellType], ...] = (
        ("rotation", "integer"),
        ("state", "text"),
        ("reason", "text"),
        ("attempts", "integer"),
        ("bounce", "text"),
        ("queued_at", "instant"),
        ("due_at", "instant"),
        ("claimed_at", "instant"),
        ("sent_at", "instant"),
        ("expires_at", "instant"),
        ("provider_message_id", "text"),
    )
    columns = (
        _organization(),
        _own(messages, "id", "integer", name="message_id"),
        _own(messages, "channel", "text"),
        _named("contact_id", "contact", "Contact; empty = it goes to a user"),
        _named("user_id", "recipient", "User; empty = it goes to a contact"),
        *(_own(messages, *column) for column in own),
        _named("program_id", "program", "Program that sent it; empty = an application"),
        _named("step", "step", "Step that sent it"),
        *(_own(messages, *column) for column in after),
    )
    return TableKind(
        "messages",
        messages,
        columns,
        sql.SQL(
            " left join crm.contacts as contact on contact.id = stored.contact_id"
            " left join crm.users as recipient on recipient.id = stored.user_id"
            " left join lifecycle.programs as program"
            " on program.kind = stored.program_kind and program.id = stored.program_id"
            " left join lifecycle.steps as step on step.id = stored.step_id"
        ),
        instant=sql.SQL("stored.queued_at"),
        order=sql.SQL("stored.queued_at, stored.id"),
        contact=sql.SQL("stored.contact_id"),
    )


def _campaign_stats() -> TableKind:
    counted = (
        *STAT_TYPES,
        "machine_opened",
        *(f"unique_{name}" for name in STAT_TYPES),
        "entered",
        "completed",
        "exited",
    )
    columns = (
        _organization(),
        _named("campaign_id", "campaign", "Campaign"),
        _own(campaign_daily_stats, "date", "date"),
        *(_own(campaign_daily_stats, name, "integer") for name in counted),
    )
    return TableKind(
        "campaign_stats",
        campaign_daily_stats,
        columns,
        sql.SQL(" join campaigns.campaigns as campaign on campaign.id = stored.campaign_id"),
        instant=_DAY,
        order=sql.SQL("stored.date, campaign.external_id"),
        contact=None,
    )


def _organization() -> ExportColumn:
    return ExportColumn(
        "organization_id", "text", sql.SQL("organization.external_id"), "Organization"
    )


def _named(name: str, joined: str, comment: str) -> ExportColumn:
    """The column with the external id of a joined row."""
    return ExportColumn(name, "text", sql.Identifier(joined, "external_id"), comment)


def _own(table: sa.Table, column: str, kind: CellType, name: str | None = None) -> ExportColumn:
    comment = str(table.c[column].comment or "")
    return ExportColumn(name or column, kind, sql.Identifier(ALIAS, column), comment)
