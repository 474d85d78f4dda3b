"""Models of answers, derived from the dataclasses and tables that they show.

A field is named, typed and described once: where the dataclass or the table declares it.
"""

import dataclasses
import inspect
import re
from collections.abc import Collection
from typing import Any, get_args, get_origin, get_type_hints

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, create_model

_FROM_ATTRIBUTES = ConfigDict(from_attributes=True)
_ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {5,}.+)*)", re.MULTILINE)


def of_dataclass(shown: type, *, without: Collection[str] = ()) -> type[BaseModel]:
    """Returns the model of a dataclass, described by its docstring.

    Args:
        without: The fields that no answer shows.
    """
    summary, _, details = inspect.cleandoc(shown.__doc__ or "").partition("\n\n")
    described = {name: _sentence(text) for name, text in _ATTRIBUTE.findall(details)}
    types = get_type_hints(shown)
    fields: dict[str, Any] = {
        field.name: (_shown(types[field.name]), Field(description=described.get(field.name)))
        for field in dataclasses.fields(shown)
        if field.name not in without
    }
    return create_model(
        shown.__name__, __config__=_FROM_ATTRIBUTES, __doc__=_sentence(summary), **fields
    )


def of_table(
    name: str, table: sa.Table, *, described: str, without: Collection[str] = ()
) -> type[BaseModel]:
    """Returns the model of a table's rows; its fields have the comments of the columns.

    Args:
        described: One sentence about a row.
        without: The columns that no answer shows.
    """
    fields: dict[str, Any] = {
        column.name: (_type_of(column), Field(description=column.comment))
        for column in table.columns
        if column.name not in without
    }
    return create_model(name, __config__=_FROM_ATTRIBUTES, __doc__=described, **fields)


def _shown(type_: Any) -> Any:
    """The type of a field; dataclasses in it, and in a list, become models too."""
    if dataclasses.is_dataclass(type_) and isinstance(type_, type):
        return of_dataclass(type_)
    if get_origin(type_) is list:
        return list[_shown(get_args(type_)[0])]  # type: ignore[misc]
    return type_


def _type_of(column: sa.Column[Any]) -> Any:
    is_object = isinstance(column.type, sa.JSON)
    type_: Any = dict[str, Any] if is_object else column.type.python_type
    return type_ | None if column.nullable else type_


def _sentence(text: str) -> str:
    """Text on one line, in the words of JSON."""
    return re.sub(r"\bNone\b", "null", " ".join(text.split()))
