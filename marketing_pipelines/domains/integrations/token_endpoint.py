"""One request for tokens, as RFC 6749 (section 6) has it, and the answer of the provider."""

import base64
import datetime as dt
import math
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlsplit

from marketing_pipelines.credentials import hide
from marketing_pipelines.domains.integrations.connections import TOKEN_LIFE
from marketing_pipelines.domains.integrations.http import (
    HttpLimits,
    LoginRefusedError,
    RequestRefusedError,
    ServiceClient,
    ServiceUnavailableError,
    WrongAnswerError,
)
from marketing_pipelines.domains.integrations.providers import OAuthFields

# Ten seconds in all: to connect, for the handshake of TLS, and for the answer.
LIMITS = HttpLimits(connect=2, timeout=6, deadline=10, attempts=1, max_bytes=1 << 20)
INVALID_GRANT = "invalid_grant"
# The provider does not know the application, or not any more.
OF_THE_CLIENT = frozenset({"invalid_client", "unauthorized_client"})
# Google and Keycloak name the life of the refresh token; RFC 6749 has no word for it.
_REFRESH_LIVES = ("refresh_token_expires_in", "refresh_expires_in")
MAX_LIFE = 10 * 365 * 24 * 3600
_TOKEN = re.compile(r"[!-~]{1,10000}")


@dataclass(frozen=True)
class TokenAnswer:
    """The provider's answer to one refresh token.

    Attributes:
        spent: The refresh token that it got.
        asked_at: The instant before the call, from which lives are counted.
        access_token: The new access token; None: it gave none, for `error`.
        refresh_token: The refresh token that takes the place of the one it got; None: that stays.
        refresh_expires_at: End of the refresh token that is valid now; None: it names none.
        code: The word of RFC 6749 for its refusal.
        wait: The pause that it asks for.
        is_answered: False if it did not answer, answered 5xx or asked for fewer calls.
    """

    spent: str = field(repr=False)
    asked_at: dt.datetime
    access_token: str | None = field(default=None, repr=False)
    expires_at: dt.datetime | None = None
    refresh_token: str | None = field(default=None, repr=False)
    refresh_expires_at: dt.datetime | None = None
    error: str | None = None
    code: str | None = None
    wait: dt.timedelta | None = None
    is_answered: bool = True


def ask(fields: OAuthFields, now: dt.datetime) -> TokenAnswer:
    """Asks once for an access token; raises nothing for the sake of the provider."""
    spent = fields.refresh_token.get_secret_value()
    form, headers = _request(fields, spent)
    host = urlsplit(fields.token_url)
    try:
        base = f"{host.scheme}://{host.netloc}"
        with ServiceClient(base, headers=headers, limits=LIMITS) as service:
            answer = service.post_form(host.path, form)
        return _read(answer.source, answer.json_object(), spent, now)
    except ServiceUnavailableError as error:
        return TokenAnswer(spent, now, error=str(error), wait=error.wait, is_answered=False)
    except LoginRefusedError as error:
        return TokenAnswer(spent, now, error=str(error), code=error.code or "invalid_client")
    except RequestRefusedError as error:
        return TokenAnswer(spent, now, error=str(error), code=error.code)
    except WrongAnswerError as error:
        return TokenAnswer(spent, now, error=str(error))


def _request(fields: OAuthFields, spent: str) -> tuple[dict[str, str], dict[str, str]]:
    """The form and the headers."""
    form = {"grant_type": "refresh_token", "refresh_token": spent}
    if fields.scopes:
        form["scope"] = " ".join(fields.scopes)
    secret = fields.client_secret.get_secret_value() if fields.client_secret else None
    if fields.auth == "basic":
        pair = f"{quote_plus(fields.client_id)}:{quote_plus(secret or '')}"
        encoded = base64.b64encode(pair.encode()).decode()
        hide([encoded])
        return form, {"Authorization": f"Basic {encoded}"}
    form["client_id"] = fields.client_id
    if secret is not None:
        form["client_secret"] = secret
    return form, {}


def _read(source: str, body: dict[str, Any], spent: str, now: dt.datetime) -> TokenAnswer:
    renewed, access = _token(body, "refresh_token"), _token(body, "access_token")
    hide([token for token in (renewed, access) if token is not None])
    refresh_life = next(filter(None, (_life(body, name) for name in _REFRESH_LIVES)), None)
    code, error = None, None
    if access is None:
        word = body.get("error")
        code = word if isinstance(word, str) and re.fullmatch("[a-z_]{1,50}", word) else None
        error = f"{source} answers without an access token{f' ({code})' if code else ''}."
    return TokenAnswer(
        spent,
        now,
        access_token=access,
        expires_at=now + (_life(body, "expires_in") or TOKEN_LIFE),
        refresh_token=None if renewed == spent else renewed,
        refresh_expires_at=None if refresh_life is None else now + refresh_life,
        error=error,
        code=code,
    )


def _token(body: dict[str, Any], name: str) -> str | None:
    found = body.get(name)
    return found if isinstance(found, str) and _TOKEN.fullmatch(found) else None


def _life(body: dict[str, Any], name: str) -> dt.timedelta | None:
    """A number of seconds; None: there is none, or nothing sensible."""
    found = body.get(name)
    if isinstance(found, bool) or not isinstance(found, (int, float, str)):
        return None
    try:
        seconds = float(found)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    return dt.timedelta(seconds=min(seconds, MAX_LIFE))
