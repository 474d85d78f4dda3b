"""The rows that all kinds of programs share, and the view that shows all kinds as one."""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.stores.ownership import FOR_EVER, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    organization_id,
)

programs = sa.table(
    "programs",
    sa.column("kind", sa.Text),
    sa.column("id", sa.BigInteger),
    sa.column("organization_id", sa.BigInteger),
    sa.column("external_id", sa.Text),
    sa.column("name", sa.Text),
    sa.column("status", sa.Text),
    sa.column("started_at", sa.DateTime(timezone=True)),
    sa.column("resumed_at", sa.DateTime(timezone=True)),
    sa.column("cancelled_at", sa.DateTime(timezone=True)),
    schema="lifecycle",
)

_IS_DUE = re.compile(r"\bis_due\((\w+)\)")


@dataclass(frozen=True)
class Program:
    """One program.

    Attributes:
        id: Its number within its kind.
        organization: External id of its organization.
    """

    kind: ProgramKind
    id: int
    organization_id: int
    external_id: str
    organization: str

    @property
    def name(self) -> str:
        """The program's name within its organization: kind and external id."""
        return f"{self.kind} {self.external_id}"

    def __str__(self) -> str:
        return f"{self.name} of {self.organization}"


def find_program(
    connection: sa.Connection, organization_id: int, kind: ProgramKind, name: str
) -> tuple[Program, str]:
    """Returns a program by its external id, else by its number, and its status.

    Raises:
        BadInputError: the organization has no such program.
    """
    rows = connection.execute(
        sa.select(
            programs.c.id,
            programs.c.external_id,
            programs.c.status,
            organizations.c.external_id.label("organization"),
        ).where(
            programs.c.kind == kind.name,
            programs.c.organization_id == organization_id,
            organizations.c.id == programs.c.organization_id,
            (programs.c.external_id == name) | (sa.cast(programs.c.id, sa.Text) == name),
        )
    ).all()
    for row in sorted(rows, key=lambda row: row.external_id != name):
        found = Program(kind, row.id, organization_id, row.external_id, row.organization)
        return found, row.status
    raise BadInputError(f"There is no {kind} '{name}': give its external id or its number.")


@cache
def read_sql(name: str) -> sa.TextClause:
    """Returns the statement in `sql/<name>.sql`, with `is_due(row)` replaced by the condition."""
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text()
    statement = sa.text(_IS_DUE.sub(lambda found: is_due(found[1]), text))
    if name in ("fill_planned_steps", "fill_planned_endings", "renew_at_steps"):
        return statement.bindparams(sa.bindparam("rows", type_=pg.JSONB))
    return statement


def is_due(row: str) -> str:
    """Returns the condition, as SQL, that an enrolment is to be moved at `:tick`.

    Args:
        row: The name, in the statement, of a row of `lifecycle.enrolments` or of the batch.
    """
    return f"({row}.status = 'active' and {row}.next_step_at <= :tick)"


def ending_columns() -> list[sa.Column[Any]]:
    """The conditions under which contacts leave a program before its last step."""
    return [
        sa.Column(
            "exit",
            pg.JSONB,
            comment="A condition on which contacts leave, or a list of which one must hold",
        ),
        sa.Column("goal", pg.JSONB, comment="The same, of contacts that reached its goal"),
        sa.Column(
            "goal_days",
            sa.Integer,
            nullable=False,
            server_default="7",
            comment="Days after the last message in which an event still counts as its goal",
        ),
    ]


def program_table(name: str, *, schema: str, comment: str) -> sa.Table:
    """A table of programs; contacts move while a program is active.

    Args:
        comment: Comment of the table.
    """
    return sa.Table(
        name,
        metadata,
        identity("Number"),
        organization_id(),
        sa.Column(
            "external_id", sa.Text, nullable=False, comment="Id in the system the row comes from"
        ),
        sa.Column("name", sa.Text, comment="Display name"),
        sa.Column(
            "status",
            sa.Text,
            nullable=False,
            server_default="draft",
            comment="draft, active, paused or cancelled",
        ),
        instant("started_at", "When it was activated: by its file, else when its status changed"),
        instant("paused_at", "When it was last paused: by its file, else when its status changed"),
        instant("resumed_at", "When it was last activated after that; a trigger writes it"),
        instant("cancelled_at", "When it was cancelled: by its file, else when its status changed"),
        *ending_columns(),
        json_object("attributes", "Columns of loaded files that have no column here"),
        instant(
            "created_at", "When the row came to be", nullable=False, server_default=sa.func.now()
        ),
        sa.UniqueConstraint("organization_id", "external_id"),
        sa.CheckConstraint("status in ('draft', 'active', 'paused', 'cancelled')", name="status"),
        info=owned(keep=FOR_EVER),
        schema=schema,
        comment=comment,
    )
