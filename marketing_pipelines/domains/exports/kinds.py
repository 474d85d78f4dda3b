"""The kinds of export by name: the rows that are read for each, and the columns it can have."""

from collections.abc import Sequence

import sqlalchemy as sa

from marketing_pipelines.domains.exports.columns import ExportColumn
from marketing_pipelines.domains.exports.declarations import table_kinds
from marketing_pipelines.domains.exports.events import EVENT_COLUMNS, EventRows
from marketing_pipelines.domains.exports.person import PersonRows
from marketing_pipelines.domains.exports.selection import RowChoice, TableRows
from marketing_pipelines.failures import BadInputError


def rows_of(kind: str, choice: RowChoice) -> TableRows | EventRows | PersonRows:
    """The chosen rows of a kind."""
    if kind == "contact":
        assert choice.contact_id is not None
        return PersonRows(choice.organization_id, choice.contact_id)
    return EventRows(choice) if kind == "events" else TableRows(table_kinds()[kind], choice)


def columns_of_kind(kind: str) -> tuple[Sequence[ExportColumn], bool]:
    """Returns the columns of a kind in their order, and True if attributes can follow them.

    Raises:
        BadInputError: there is no kind of that name whose columns can be chosen.
    """
    if kind == "events":
        return EVENT_COLUMNS, False
    declared = table_kinds().get(kind)
    if declared is None:
        known = ", ".join(sorted({*table_kinds(), "events"}))
        raise BadInputError(f"kind: '{kind}' has no columns to choose: name one of {known}.")
    return declared.columns, declared.attributes


def problem_of_columns(
    connection: sa.Connection, kind: str, choice: RowChoice, chosen: Sequence[str]
) -> str | None:
    """Returns the reason why columns cannot be chosen; None: they can."""
    declared = table_kinds().get(kind)
    columns, has_attributes = columns_of_kind(kind)
    known = [column.name for column in columns]
    unknown = [name for name in chosen if name not in known]
    if declared is not None and has_attributes and unknown:
        everyone = TableRows(declared, RowChoice(choice.organization_id))
        attributes = everyone.attributes(connection, unknown)
        unknown = [name for name in unknown if name not in attributes]
    if not unknown:
        return None
    own = f"{kind} have {', '.join(known)}"
    more = " and the names of attributes" if has_attributes else ""
    return f"there is no column '{unknown[0][:60]}': {own}{more}"
