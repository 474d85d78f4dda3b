"""Owners of new contacts: the users of an organization get them in turn.

The row of the organization's turn is locked from the first look at it until the owners are
committed, so that contacts created by several processes at once are shared equally.
"""

from collections.abc import Sequence
from importlib import resources

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.new_contacts.tables import assignment_turns
from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.failures import BadInputError


def assign_owners(
    connection: sa.Connection, organization_id: int, contact_ids: Sequence[int]
) -> int:
    """Gives the next users in turn to contacts that have no owner.

    Args:
        connection: In a transaction of read committed.

    Returns:
        Number of contacts that got an owner; 0 where no user may get any.

    Raises:
        BadInputError: the settings cannot be used, or name an unknown user.
    """
    users = _candidates(connection, organization_id)
    if not users:
        return 0
    turn = assignment_turns.c
    connection.execute(
        pg.insert(assignment_turns).values(organization_id=organization_id).on_conflict_do_nothing()
    )
    own = turn.organization_id == organization_id
    assigned: int = connection.execute(
        sa.select(turn.assigned).where(own).with_for_update()
    ).scalar_one()
    given = {
        "organization_id": organization_id,
        "contacts": list(contact_ids),
        "assigned": assigned,
        "users": users,
    }
    number = len(connection.execute(_sql("assign_owners"), given).all())
    connection.execute(
        sa.update(assignment_turns).where(own).values(assigned=turn.assigned + number)
    )
    return number


def _candidates(connection: sa.Connection, organization_id: int) -> list[int]:
    names = settings_of(connection, organization_id).assignment.users
    found = connection.execute(
        _sql("candidates"), {"organization_id": organization_id, "names": names}
    ).one()
    if found.unknown:
        raise BadInputError(
            f"assignment.users names {found.unknown[0]!r}, which is no user of the organization: "
            "load the user, or set the setting again."
        )
    return found.users or []


def _sql(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sa.text(text)
