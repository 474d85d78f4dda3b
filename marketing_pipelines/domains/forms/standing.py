"""The standing of forms as people see it: where each is read, how far, and why not."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import sqlalchemy as sa


@dataclass(frozen=True)
class FormStanding:
    """A form with its latest reading.

    Attributes:
        row: The columns of `sql/listed_forms.sql`.
        state: `read`, `failing`, `waiting` or `off`.
        reason: Why it is not read; empty: it is.
    """

    row: Any
    state: str
    reason: str


def standing_of_forms(
    connection: sa.Connection, organization_id: int | None = None
) -> list[FormStanding]:
    """The forms of an organization, or of all."""
    found = connection.execute(_sql("listed_forms"), {"organization_id": organization_id})
    return [FormStanding(row, *_state(row)) for row in found]


def without_contact(
    connection: sa.Connection,
    organization_id: int | None = None,
    form: str | None = None,
    *,
    most: int,
) -> Sequence[Any]:
    """The latest submissions without contact, with the columns of `sql/without_contact.sql`.

    Args:
        form: External id of a form; None: all.
    """
    given = {"organization_id": organization_id, "form": form, "most": most}
    return connection.execute(_sql("without_contact"), given).all()


def _sql(name: str) -> sa.TextClause:
    return sa.text(resources.files(__package__).joinpath("sql", f"{name}.sql").read_text("utf-8"))


def _state(row: Any) -> tuple[str, str]:
    if not row.enabled:
        return "off", "The form is not enabled."
    if row.connection is None:
        return "waiting", "Its connection was removed: load the form again with another one."
    if row.connection_state == "reconnect":
        return "waiting", f"Its connection {row.connection} waits: {row.connection_error}"
    if row.error is not None:
        return "failing", row.error
    if row.connection_error is not None:
        return "waiting", row.connection_error
    if row.last_tick is None:
        return "waiting", "The next tick reads it first."
    return "read", ""
