"""Categories by name; those that every organization can use are made when they are first named.

An organization without categories has one, `general`; so that it keeps it, it is made with any
other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.consent.statements import consent_sql
from marketing_pipelines.domains.delivery.consent.tables import categories
from marketing_pipelines.failures import BadInputError

MAX_NAMED = 20
# Their modes.
BUILT_IN: Mapping[str, str] = MappingProxyType({"general": "opt_out", "newsletter": "opt_in"})


class UnknownCategoryError(BadInputError):
    """A category that the organization does not have."""


@dataclass(frozen=True)
class Category:
    """A category of an organization."""

    id: int
    external_id: str
    name: str
    mode: str


def find_category(connection: sa.Connection, organization_id: int, external_id: str) -> Category:
    """Returns a category; makes it if it is built in and the organization has none of the name.

    Raises:
        UnknownCategoryError: there is none; the sentence names the known ones.
    """
    if external_id in BUILT_IN:
        made: dict[str, Any] = {"organization_id": organization_id, "external_id": external_id}
        made["mode"] = BUILT_IN[external_id]
        connection.execute(consent_sql("make_built_in_category"), made)
    known = connection.execute(
        sa.select(
            categories.c.id,
            categories.c.external_id,
            sa.func.coalesce(categories.c.name, categories.c.external_id).label("name"),
            categories.c.mode,
        )
        .where(categories.c.organization_id == organization_id)
        .order_by(categories.c.external_id)
    ).all()
    found = next((Category(*row) for row in known if row.external_id == external_id), None)
    if found is None:
        names = sorted({row.external_id for row in known} | {"newsletter"})
        more = ", …" if names[MAX_NAMED:] else ""
        raise UnknownCategoryError(
            f"There is no category '{external_id[:60]}': the known ones are "
            f"{', '.join(names[:MAX_NAMED])}{more}; `load categories` makes another."
        )
    return found
