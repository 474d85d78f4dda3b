"""Access tokens for Google: of a service account's key, or of a grant."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy as sa

from marketing_pipelines.credentials import hide
from marketing_pipelines.domains.integrations import grants
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.http import (
    HttpLimits,
    LoginRefusedError,
    RequestRefusedError,
    ServiceClient,
    WrongAnswerError,
)
from marketing_pipelines.domains.integrations.providers import GoogleFields
from marketing_pipelines.settings import Settings

SCOPE = "https://www.googleapis.com/auth/spreadsheets.readonly"
LIMITS = HttpLimits(attempts=1, deadline=20.0, max_bytes=1 << 20)
# Returns a token; given one that Google refused, it returns another.
TokenSource = Callable[[str | None], str]


@dataclass(frozen=True)
class _Answer:
    """An answer as google-auth reads it."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def token_source(
    settings: Settings,
    engine: sa.Engine,
    own: Connection,
    fields: GoogleFields,
    ends_at: float | None = None,
) -> TokenSource:
    """Returns the source of tokens of a connection.

    Args:
        ends_at: The instant of the monotonic clock that ends all calls.

    Raises:
        BadInputError: there is no grant of the name that the connection gives.
    """
    if fields.key is not None:
        key = fields.key.get_secret_value()
        return lambda refused: _token_of_account(key, ends_at)
    with engine.connect() as connection:
        grant = grants.grant_of(connection, own.organization_id, str(fields.grant))
    return lambda refused: grants.access_token(settings, grant, refused=refused)


def _token_of_account(key: str, ends_at: float | None) -> str:
    """Asks Google for a token of a service account.

    Raises:
        LoginRefusedError: Google does not know the account or its key.
        ServiceUnavailableError, WrongAnswerError: there is no usable answer.
    """
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2.service_account import Credentials

    def request(url: str, method: str, body: bytes, **_options: Any) -> _Answer:
        with ServiceClient(url, limits=LIMITS, ends_at=ends_at) as service:
            answer = service.post_form("", dict(parse_qsl(body.decode())))
        return _Answer(answer.status, dict(answer.headers), answer.body)

    factory: Any = Credentials  # its methods have no types
    credentials = factory.from_service_account_info(json.loads(key), scopes=[SCOPE])
    try:
        credentials.refresh(request)
    except RequestRefusedError as error:
        raise LoginRefusedError(
            f"{str(error).rstrip('.')}: give another key with `connection set`.", error.code
        ) from error
    except GoogleAuthError as error:
        raise WrongAnswerError("Google's answer to a request for a token has none.") from error
    token = str(credentials.token)
    hide([token])
    return token
