"""The files of forms."""

import json
import re

import sqlalchemy as sa

from marketing_pipelines.domains.forms.mapping import keys_problem, mapping_problem
from marketing_pipelines.domains.forms.tables import forms
from marketing_pipelines.stores.kinds import (
    CREATED_AT,
    ENABLED,
    EXTERNAL_ID,
    Column,
    FileRow,
    Kind,
    Reference,
)

MAX_TITLE = 200
_CONNECTION = re.compile(r"google(:[A-Za-z0-9][A-Za-z0-9@._+-]{0,199})?")
_SPREADSHEET = re.compile(r"[A-Za-z0-9_-]{5,200}")
_names = sa.table("connection_names", schema="integrations")


def _connection_problem(row: FileRow) -> str | None:
    given = row.get("connection")
    if given is None or _CONNECTION.fullmatch(given):
        return None
    return "names no connection: write google, or google:NAME of the connection"


def _spreadsheet_problem(row: FileRow) -> str | None:
    given = row.get("spreadsheet_id")
    if given is None or _SPREADSHEET.fullmatch(given):
        return None
    return "is not the id of a spreadsheet: write the part of its address between /d/ and /edit"


def _sheet_problem(row: FileRow) -> str | None:
    given = row.get("sheet") or ""
    return f"is longer than {MAX_TITLE} characters" if len(given) > MAX_TITLE else None


def _mapping_problem(row: FileRow) -> str | None:
    given = row.get("mapping")
    return None if given is None else mapping_problem(given)


def _keys_problem(row: FileRow) -> str | None:
    given = row.get("key_columns")
    if given is None:
        return None
    try:
        names = json.loads(given)
    except (ValueError, RecursionError):
        names = given.split(";")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        # The load itself says that it is no list of texts.
        return None
    return keys_problem(names)


KINDS = (
    Kind(
        "forms",
        forms,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("name"),
            Column("spreadsheet_id", required=True, problem=_spreadsheet_problem),
            Column("sheet", required=True, problem=_sheet_problem),
            Column("header_row", "integer", empty="1", least=1, most=1_000),
            Column("mapping", "object", required=True, problem=_mapping_problem),
            Column("key_columns", "list", problem=_keys_problem),
            Column(
                "connection",
                required=True,
                problem=_connection_problem,
                reference=Reference(_names),
                column="connection_id",
            ),
            Column("backfill", "boolean", empty="false"),
            ENABLED,
            CREATED_AT,
        ),
        attributes=False,
    ),
)
