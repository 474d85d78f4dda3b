"""The file of templates."""

import re
from collections.abc import Callable, Iterator
from importlib import resources

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.named_templates.catalog import Catalog, UnknownNameError
from marketing_pipelines.domains.delivery.named_templates.tables import CHANNELS, templates
from marketing_pipelines.domains.delivery.named_templates.template import problem_of_parts
from marketing_pipelines.domains.delivery.tables import MESSAGE_KINDS, TEXTS
from marketing_pipelines.domains.segments import dates
from marketing_pipelines.stores.kinds import EXTERNAL_ID, Column, FileRow, Kind, RefusedRow


def _text(part: str) -> Column:
    return Column(part, problem=_compiles(part))


def _compiles(part: str) -> Callable[[FileRow], str | None]:
    def problem(row: FileRow) -> str | None:
        # Code that only reads the declaration does not need Jinja2.
        from marketing_pipelines.domains.delivery.rendering import problem_of

        text = row.get(part)
        found = None if text is None else problem_of({part: text})
        return None if found is None else f"cannot be read: {found.removeprefix(f'{part}: ')}"

    return problem


def _priority_problem(row: FileRow) -> str | None:
    priority = row.get("priority") or "0"
    # A cell that is no number is refused by the column's type.
    is_wide = re.fullmatch(r"[+-]?\d+", priority) and not -100 <= float(priority) <= 100
    return f"'{priority}' is not between -100 and 100" if is_wide else None


def _valid_for_problem(row: FileRow) -> str | None:
    try:
        dates.length_or_zero(row.get("valid_for") or "0")
    except ValueError as error:
        return str(error)
    return None


def refused(connection: sa.Connection) -> Iterator[RefusedRow]:
    """Yields the staged templates whose parts make no message, or that name something unknown."""
    statement = resources.files(__package__).joinpath("sql", "staged_templates.sql").read_text()
    rows = connection.execute(sa.text(statement)).all()
    own = {row.organization_id for row in rows if row.organization_id is not None}
    catalog = Catalog.read(connection, own)
    for row in rows:
        parts = {part: getattr(row, part) for part in TEXTS}
        problem = problem_of_parts(row.channel, parts)
        if problem is None and row.sender is not None and row.channel != "email":
            problem = "from", "is for mails only: leave it empty"
        try:
            catalog.category_id(row.organization_id, row.category)
            catalog.domain_id(row.organization_id, row.sender)
        except UnknownNameError as error:
            problem = problem or (error.key, error.reason)
        if problem is not None:
            yield RefusedRow(row.line, *problem)


TEMPLATES = Kind(
    "templates",
    templates,
    key=("external_id",),
    columns=(
        EXTERNAL_ID,
        Column("channel", choices=CHANNELS, empty="'email'"),
        Column("kind", choices=MESSAGE_KINDS, empty="'marketing'"),
        Column("category"),
        *(_text(part) for part in TEXTS),
        Column("from"),
        Column("priority", "integer", empty="0", problem=_priority_problem),
        Column("valid_for", problem=_valid_for_problem),
    ),
    attributes=False,
    refused=refused,
)
