"""Access tokens of mailboxes that log in by a grant."""

from marketing_pipelines.domains.inbox.session import TokenOf
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.grants import access_token, grant_of
from marketing_pipelines.domains.integrations.providers import ImapFields
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import create_engine, database_url


def token_of(settings: Settings, own: Connection, fields: ImapFields) -> TokenOf | None:
    """Returns the source of a mailbox's tokens; None: it has a password.

    Raises:
        BadInputError: the organization has no such grant.
    """
    if fields.grant is None:
        return None
    with create_engine(database_url(settings)).connect() as connection:
        grant = grant_of(connection, own.organization_id, fields.grant)
    return lambda refused: access_token(settings, grant, refused=refused)
