"""The kinds of export by name: whatever they are read from, their numbers and columns."""

from collections.abc import Sequence

import sqlalchemy as sa

from marketing_pipelines.domains.exports.declarations import table_kinds
from marketing_pipelines.domains.exports.selection import Choice, TableRows

NO_LIMIT = 1 << 62


def counted(connection: sa.Connection, kind: str, choice: Choice, limit: int | None) -> int:
    """Returns the number of rows.

    Args:
        limit: Counted no further than one beyond; None: to the end.
    """
    rows = TableRows(table_kinds()[kind], choice)
    return rows.count(connection, NO_LIMIT if limit is None else limit)


def problem_of_columns(
    connection: sa.Connection, kind: str, choice: Choice, chosen: Sequence[str]
) -> str | None:
    """Returns the reason why columns cannot be chosen; None: they can."""
    declared = table_kinds()[kind]
    known = [column.name for column in declared.columns]
    unknown = [name for name in chosen if name not in known]
    if declared.attributes and unknown:
        everyone = TableRows(declared, Choice(choice.organization_id))
        attributes = everyone.attributes(connection, unknown)
        unknown = [name for name in unknown if name not in attributes]
    if not unknown:
        return None
    own = f"{kind} have {', '.join(known)}"
    more = " and the names of attributes" if declared.attributes else ""
    return f"there is no column '{unknown[0][:60]}': {own}{more}"
