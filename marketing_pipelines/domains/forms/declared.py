"""Forms as their rows have them, with the standing of their readings."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.forms.mapping import (
    SUBMITTED_AT,
    MappedColumn,
    MappingError,
    read_mapping,
)
from marketing_pipelines.domains.forms.tables import forms, readings
from marketing_pipelines.failures import BadInputError

_FORMS = (
    sa.select(
        forms.c.id,
        forms.c.organization_id,
        organizations.c.external_id.label("organization"),
        forms.c.external_id,
        forms.c.spreadsheet_id,
        forms.c.sheet,
        forms.c.header_row,
        forms.c.mapping,
        forms.c.key_columns,
        forms.c.connection_id,
        forms.c.backfill,
    )
    .join(organizations, organizations.c.id == forms.c.organization_id)
    .outerjoin(readings, readings.c.form_id == forms.c.id)
    .where(forms.c.enabled)
    # The forms that no tick has tried for longest come first.
    .order_by(readings.c.tried_at.nulls_first(), forms.c.id)
)


@dataclass(frozen=True)
class SheetForm:
    """An enabled form."""

    id: int
    organization_id: int
    organization: str
    external_id: str
    spreadsheet_id: str
    sheet: str
    header_row: int
    mapping: Mapping[str, Any]
    key_columns: Sequence[str]
    connection_id: int | None
    backfill: bool

    @property
    def name(self) -> str:
        """Its name in failures, such as `contact-us of acme`."""
        return f"{self.external_id} of {self.organization}"

    @cached_property
    def columns(self) -> list[MappedColumn]:
        """The mapped columns in the order of their targets.

        Raises:
            BadInputError: this release does not take the mapping any more.
        """
        try:
            return read_mapping(self.mapping)
        except MappingError as error:
            raise BadInputError(f"mapping {error}: load the form again with another one.") from None

    @property
    def keys(self) -> list[str]:
        """The columns that identify a submission; none: all mapped ones do."""
        return [name.strip() for name in self.key_columns]

    @property
    def needed(self) -> list[str]:
        """The columns without which the sheet cannot be read, each once."""
        return list(dict.fromkeys([*self.keys, *(one.header for one in self.columns)]))

    @property
    def has_instants(self) -> bool:
        """True if a mapped column may have days or instants of the spreadsheet."""
        return any(one.target == SUBMITTED_AT or one.type for one in self.columns)


@dataclass(frozen=True)
class Reading:
    """The standing of a form before a reading."""

    first_tick: dt.datetime | None
    spreadsheet_id: str | None
    sheet: str | None
    mapping: Mapping[str, Any]
    key_columns: Sequence[str]


def enabled_forms(connection: sa.Connection) -> list[SheetForm]:
    """The forms whose sheets are read."""
    return [SheetForm(**row._mapping) for row in connection.execute(_FORMS)]


def is_unchanged(connection: sa.Connection, form: SheetForm) -> bool:
    """Returns true if the form is still the same, and locks it against changes until the commit."""
    row = connection.execute(
        _FORMS.where(forms.c.id == form.id).with_for_update(read=True, of=forms)
    ).one_or_none()
    return row is not None and SheetForm(**row._mapping) == form


def reading_of(connection: sa.Connection, form: SheetForm) -> Reading | None:
    """The standing of the readings of a form; None: its sheet was never tried."""
    row = connection.execute(
        sa.select(
            readings.c.first_tick,
            readings.c.spreadsheet_id,
            readings.c.sheet,
            readings.c.mapping,
            readings.c.key_columns,
        ).where(readings.c.form_id == form.id)
    ).one_or_none()
    return None if row is None else Reading(**row._mapping)
