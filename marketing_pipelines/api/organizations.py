"""The organization of a call: the one that it names, where its token is good for it."""

import sqlalchemy as sa

from marketing_pipelines.api import audit
from marketing_pipelines.api.admission import Visit
from marketing_pipelines.api.answers import Refusal
from marketing_pipelines.domains.crm.names import organization_number
from marketing_pipelines.failures import BadInputError


def organization_of(connection: sa.Connection, visit: Visit, name: str) -> int:
    """The number of the organization that a call names, noted in the audit log.

    Args:
        name: External id, or number.

    Raises:
        Refusal: there is none, or the token is good for another one; which is not said.
    """
    try:
        number = organization_number(connection, name)
    except BadInputError:
        number = None
    own = own_organization(visit)
    if number is None or own not in (None, number):
        raise unknown_organization(name)
    if own is None:
        audit.concerns(connection, visit.entry, number)
    return number


def own_organization(visit: Visit) -> int | None:
    """The one organization that the call's token is good for; None: it is good for all."""
    return None if visit.token is None else visit.token.organization_id


def unknown_organization(name: str) -> Refusal:
    """The answer to the name of an organization that is not there, or not the token's."""
    shown = name[:60].encode(errors="replace").decode()
    return Refusal(404, f"There is no organization '{shown}' that this token is good for.")
