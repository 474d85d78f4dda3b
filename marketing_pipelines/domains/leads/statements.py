"""The statements in `sql/`, and the organizations that jobs work through."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import organizations


@cache
def read_sql(name: str) -> sa.TextClause:
    """The statement in `sql/<name>.sql`."""
    return sa.text(resources.files(__package__).joinpath("sql", f"{name}.sql").read_text())


def all_organizations(connection: sa.Connection) -> Sequence[Any]:
    """Every organization, in the order of their numbers."""
    return connection.execute(
        sa.select(organizations.c.id, organizations.c.external_id).order_by(organizations.c.id)
    ).all()


def name_of(organization: Any) -> str:
    """The name of an organization as the item of a job."""
    return f"organization {organization.external_id}"
