"""The mapping of a form: columns of its sheet to columns and attributes of contacts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from marketing_pipelines.domains.crm.tables import contacts

MAX_COLUMNS = 100
MAX_KEYS = 20
MAX_NAME = 200
SUBMITTED_AT = "submitted_at"
EXTERNAL_ID = "external_id"
EMAIL = "email"
# The columns of a contact that a submission may write.
WRITTEN = ("email", "phone", "first_name", "last_name", "follow_up_note", "lifecycle_stage")

_Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]


class _Target(BaseModel):
    model_config = ConfigDict(extra="forbid")

    column: _Name
    overwrite: bool = False
    type: Literal["date", "instant"] | None = None


_MAPPING = TypeAdapter(Annotated[dict[_Name, _Target], Field(max_length=MAX_COLUMNS)])


class MappingError(ValueError):
    """A mapping cannot be used; the sentence continues after its name."""


@dataclass(frozen=True)
class MappedColumn:
    """A column of the sheet with the target of its values.

    Attributes:
        header: Name of the column, without blanks at its ends.
        target: Column of `crm.contacts`, `submitted_at`, or else an attribute.
        overwrite: True if values replace those that the contact has.
        type: The type of its numbers, where they are dates or instants of the spreadsheet.
    """

    header: str
    target: str
    overwrite: bool
    type: str | None


def read_mapping(given: Mapping[str, Any]) -> list[MappedColumn]:
    """Returns the mapped columns in the order of their targets.

    Raises:
        MappingError: a target is unknown or named twice, or nothing leads to a contact.
    """
    targets = {
        header: {"column": target} if isinstance(target, str) else target
        for header, target in given.items()
    }
    try:
        parsed = _MAPPING.validate_python(targets)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        reason = first["msg"][:1].lower() + first["msg"][1:]
        raise MappingError(f"cannot be used at '{place[:60]}': {reason}") from None
    columns = [
        MappedColumn(header.strip(), one.column.strip(), one.overwrite, one.type)
        for header, one in parsed.items()
    ]
    _check(columns)
    return sorted(columns, key=lambda one: one.target)


def mapping_problem(text: str) -> str | None:
    """The problem of a cell with a mapping; None: it can be used."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        # The load itself says that it is no object.
        return None
    try:
        read_mapping(given)
    except MappingError as error:
        return str(error)
    return None


def keys_problem(names: Sequence[str]) -> str | None:
    """The problem of the names of key columns; None: they can be used."""
    trimmed = [name.strip() for name in names]
    if len(trimmed) > MAX_KEYS:
        return f"names more than {MAX_KEYS} columns"
    if repeated := _repeated(trimmed):
        return f"names '{repeated}' twice"
    return None


def _check(columns: Sequence[MappedColumn]) -> None:
    headers, targets = [one.header for one in columns], [one.target for one in columns]
    if "" in headers or "" in targets:
        raise MappingError("has an empty name")
    if repeated := _repeated(headers):
        raise MappingError(f"names the column '{repeated}' twice")
    if repeated := _repeated(targets):
        raise MappingError(f"fills {repeated} twice")
    if EMAIL not in targets and EXTERNAL_ID not in targets:
        raise MappingError(f"fills neither {EMAIL} nor {EXTERNAL_ID}, which lead to a contact")
    for one in columns:
        is_column = one.target in contacts.c
        if is_column and one.target not in (EXTERNAL_ID, *WRITTEN):
            raise MappingError(
                f"cannot fill {one.target}: of a contact it fills {', '.join(WRITTEN)}, or an "
                "attribute of another name"
            )
        if one.target in (EXTERNAL_ID, SUBMITTED_AT) and one.overwrite:
            raise MappingError(f"cannot overwrite {one.target}")
        if one.type is not None and (is_column or one.target == SUBMITTED_AT):
            raise MappingError(f"gives {one.target} a type, which only attributes have")


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)
