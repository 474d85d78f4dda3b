"""The rows of a sheet as submissions: known, edited, new and missing ones, and their contacts.

The rows go into a temporary table; one statement after the other decides over all of them, in the
transaction of the caller. Stored again, the same rows change nothing.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.events import FormSubmitted
from marketing_pipelines.domains.forms.cells import SubmittedRow
from marketing_pipelines.domains.forms.declared import Reading, SheetForm, reading_of
from marketing_pipelines.domains.forms.mapping import (
    EMAIL,
    EXTERNAL_ID,
    WRITTEN,
    MappedColumn,
    MappingError,
    read_mapping,
)
from marketing_pipelines.domains.forms.tables import readings
from marketing_pipelines.queueing.bus import publish_rows
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.ledger import lift, open_ledger
from marketing_pipelines.stores.postgres import raw_cursor

_COPY = (
    "copy sheet_rows (position, data, fields, address, external_id, submitted_at, problem)"
    " from stdin"
)
_COUNTS = sa.text(
    "select count(*) as rows, count(submission_id) as known, coalesce(sum(copies), 0) as copies"
    " from read_submissions"
)
_EDITED = sa.text(
    "select count(*) from read_submissions where submission_id is not null and is_changed"
)


@dataclass(frozen=True)
class StoredReading:
    """The result of a reading.

    Attributes:
        rows: Rows of the sheet with a submission.
        new: Submissions that were not known.
        edited: Submissions whose values changed.
        missing: Submissions whose rows are gone since the reading before.
        published: Events `form.submitted`.
        erased: New submissions of erased persons from before their erasure, kept without values.
    """

    rows: int
    new: int
    edited: int
    missing: int
    published: int
    erased: int


def store_reading(
    connection: sa.Connection,
    form: SheetForm,
    columns: Sequence[str],
    rows: Iterable[SubmittedRow],
    tick: dt.datetime,
) -> StoredReading:
    """Stores a reading of the whole sheet of a form.

    Args:
        connection: In a transaction of read committed, in which only one process stores readings.
        columns: All columns of the sheet.
        rows: Its rows with a submission.
    """
    before = reading_of(connection, form)
    _stage(connection, rows)
    mapped = [one.header for one in form.columns]
    headers = {one.target: one.header for one in form.columns}
    given: dict[str, Any] = {
        "organization_id": form.organization_id,
        "form_id": form.id,
        "form": form.external_id,
        "keys": form.keys,
        "mapped": mapped,
        "email": headers.get(EMAIL),
        "external_id": headers.get(EXTERNAL_ID),
        "columns": list(columns),
        "written": list(WRITTEN),
        "tick": tick,
    }
    if before is not None and before.first_tick is not None:
        _follow_changes(connection, form, before, columns, given)
    _run(connection, "identify_rows", given)
    connection.exec_driver_sql("analyze read_submissions")
    _run(connection, "match_identities", given)
    counts = connection.execute(_COUNTS).one()
    is_first = _is_first(form, before, counts.known, counts.rows)
    _run(connection, "match_edits", given)
    refused = _ask_ledger(connection, form, given, is_import=is_first and not form.backfill)
    _write_contacts(connection, form, given, is_import=is_first and not form.backfill)
    edited = connection.execute(_EDITED).scalar_one()
    _run(connection, "update_submissions", given)
    new = _run(connection, "add_submissions", given)
    missing = _run(connection, "note_missing", given)
    published = 0
    if not is_first or form.backfill:
        published = _publish(connection, given)
    _note_read(connection, form, tick, counts.copies, is_first=is_first)
    return StoredReading(counts.copies, new, edited, missing, published, refused)


def note_tried(
    connection: sa.Connection, form: SheetForm, tick: dt.datetime, error: str | None = None
) -> None:
    """Notes that the sheet of a form was tried, and why it cannot be read; None: as before."""
    values: dict[str, Any] = {"tried_at": tick}
    if error is not None:
        values["error"] = error
    connection.execute(
        pg.insert(readings)
        .values(form_id=form.id, **values)
        .on_conflict_do_update(index_elements=["form_id"], set_=values)
    )


def _stage(connection: sa.Connection, rows: Iterable[SubmittedRow]) -> None:
    connection.execute(_sql("create_sheet_rows"))
    connection.execute(_sql("create_read_submissions"))
    connection.exec_driver_sql("truncate sheet_rows, read_submissions")
    with raw_cursor(connection).copy(_COPY) as copy:
        for row in rows:
            copy.write_row(
                (
                    row.position,
                    json.dumps(row.data, ensure_ascii=False),
                    json.dumps(row.fields, ensure_ascii=False),
                    row.address,
                    row.external_id,
                    row.submitted_at,
                    row.problem,
                )
            )


def _follow_changes(
    connection: sa.Connection,
    form: SheetForm,
    before: Reading,
    columns: Sequence[str],
    given: Mapping[str, Any],
) -> None:
    """Follows changes of the form since the reading before: renamed columns, other identities."""
    try:
        former = read_mapping(before.mapping)
    except MappingError:
        former = []
    former_keys = [name.strip() for name in before.key_columns]
    for old, new in _renamed(former, form.columns, former_keys, form.keys):
        if old not in columns:
            renaming = {"form_id": form.id, "former": old, "name": new}
            _run(connection, "rename_column", renaming)
    if former_keys != form.keys or [one.header for one in former] != given["mapped"]:
        _run(connection, "release_identities", given)
        _run(connection, "renew_identities", given)


def _renamed(
    former: Sequence[MappedColumn],
    now: Sequence[MappedColumn],
    former_keys: Sequence[str],
    keys: Sequence[str],
) -> set[tuple[str, str]]:
    """The columns that lead to the same target as another column did before."""
    headers = {one.target: one.header for one in former}
    pairs = {(headers[one.target], one.header) for one in now if one.target in headers}
    if len(former_keys) == len(keys):
        pairs |= set(zip(former_keys, keys, strict=True))
    return {(old, new) for old, new in pairs if old != new}


def _is_first(form: SheetForm, before: Reading | None, known: int, rows: int) -> bool:
    """Returns true if it is the first reading of this sheet.

    A sheet at another place is the same one if it has at least half of its submissions from before.
    """
    if before is None or before.first_tick is None:
        return True
    is_there = (before.spreadsheet_id, before.sheet) == (form.spreadsheet_id, form.sheet)
    return not is_there and known * 2 < rows


def _ask_ledger(
    connection: sa.Connection, form: SheetForm, given: Mapping[str, Any], *, is_import: bool
) -> int:
    """Refuses rows of erased persons from before the erasure; later ones begin anew.

    A row of an erased submission stays empty, whatever the sheet says of it now.

    Returns:
        Refused new submissions.
    """
    found = open_ledger(connection, get_settings())
    if found is None:
        return 0
    _run(connection, "keep_erased", given)
    refused = _run(connection, "refuse_erased", {**given, **found.blocks, "is_import": is_import})
    renewed = connection.execute(
        _sql("renewed"), {"organization_id": form.organization_id, **found.blocks}
    )
    names: dict[str, list[str]] = {}
    for row in renewed:
        names.setdefault(row.kind, []).append(row.given)
    if names:
        lift(connection, found, form.organization_id, names)
    return refused


def _write_contacts(
    connection: sa.Connection, form: SheetForm, given: Mapping[str, Any], *, is_import: bool
) -> None:
    values = {
        **given,
        "source": "import" if is_import else "form",
        "columns": json.dumps({one.target: one.header for one in form.columns}),
        "overwritten": [one.target for one in form.columns if one.overwrite],
    }
    _run(connection, "find_contacts", values)
    _run(connection, "make_contacts", values)
    _run(connection, "link_contacts", values)
    _run(connection, "complete_contacts", values)


def _publish(connection: sa.Connection, given: Mapping[str, Any]) -> int:
    statement = _sql("announced")
    announced = (
        statement.bindparams(form=given["form"], form_id=given["form_id"])
        .columns(
            sa.column("organization_id", sa.BigInteger),
            sa.column("contact_id", sa.BigInteger),
            sa.column("payload", pg.JSONB),
            sa.column("place", sa.Integer),
        )
        .subquery()
    )
    return publish_rows(connection, FormSubmitted, sa.select(announced))


def _note_read(
    connection: sa.Connection, form: SheetForm, tick: dt.datetime, rows: int, *, is_first: bool
) -> None:
    values = {
        "last_tick": tick,
        "tried_at": tick,
        "rows": rows,
        "error": None,
        "spreadsheet_id": form.spreadsheet_id,
        "sheet": form.sheet,
        "mapping": form.mapping,
        "key_columns": list(form.key_columns),
    }
    if is_first:
        values["first_tick"] = tick
    # An earlier tick that is run late changes no later one.
    latest = {"last_tick": sa.func.greatest(readings.c.last_tick, tick)}
    connection.execute(
        pg.insert(readings)
        .values(form_id=form.id, **values)
        .on_conflict_do_update(index_elements=["form_id"], set_={**values, **latest})
    )


def _run(connection: sa.Connection, name: str, given: Mapping[str, Any]) -> int:
    statement = _sql(name)
    own = {key: value for key, value in given.items() if key in statement._bindparams}
    return connection.execute(statement, own).rowcount


def _sql(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sa.text(text)
