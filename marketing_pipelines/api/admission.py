"""Admission of calls: a guarded address is entered in the audit log before the call is served. The
status of its answer is entered before the answer leaves."""

import contextlib
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketing_pipelines.api import audit, tokens, user_sessions
from marketing_pipelines.api.answers import Refusal, answer
from marketing_pipelines.api.cookies import SignIn
from marketing_pipelines.api.rendering import SIGN_IN, is_page
from marketing_pipelines.api.site import Site
from marketing_pipelines.api.strangers import Strangers

GUARDED = ("/admin", "/cron", "/v1")
CHALLENGE = {"WWW-Authenticate": "Bearer"}
OF_ONE_ORGANIZATION = "This token is good for one organization only: use one of the installation."
_bearer = HTTPBearer(auto_error=False, description="A token made by `token create`")
_cron_bearer = HTTPBearer(
    auto_error=False, scheme_name="CronSecret", description="`MARKETING_CRON_SECRET`"
)


@dataclass(frozen=True)
class Visit:
    """One call: its caller, and its entry in the audit log.

    Attributes:
        is_one_of_many: True if the entry stands for other calls without a valid token, too.
    """

    entry: int
    token: tokens.Token | None = None
    sign_in: SignIn | None = None
    is_cron: bool = False
    refusal: Refusal | None = None
    is_one_of_many: bool = False


class Admission:
    """Finds the token or session of a request for a guarded address; `require` checks its scope.

    Errors that no handler expects are answered here, for every address.
    """

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site
        self._strangers = Strangers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not is_guarded(scope["path"]):
            await self._answer(None, scope, receive, send)
            return
        try:
            visit = await run_in_threadpool(self._arrive, scope)
        except Exception as error:
            await answer(scope["path"], error)(scope, receive, send)
            return
        scope.setdefault("state", {})["visit"] = visit

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                await run_in_threadpool(self._leave, visit, message["status"])
            await send(message)

        await self._answer(visit.refusal, scope, receive, noted)

    async def _answer(
        self, refusal: Refusal | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            if refusal is not None:
                raise refusal
            await self._app(scope, receive, send)
        except Exception as error:
            await answer(scope["path"], error)(scope, receive, send)

    def _arrive(self, scope: Scope) -> Visit:
        path, client = scope["path"], scope.get("client")
        headers = Headers(scope=scope)
        token: tokens.Token | None = None
        sign_in: SignIn | None = None
        is_cron, refusal = False, None
        with self._site.engine.begin() as connection:
            if _is_below(path, "/cron"):
                is_cron, refusal = self._cron(bearer_of(headers))
            elif is_page(path):
                sign_in, token = signed_in_as(self._site, connection, headers)
            else:
                token = tokens.verify(connection, bearer_of(headers))
            if not _is_below(path, "/cron") and not token and not tokens.any_valid(connection):
                refusal = Refusal(
                    503, "No token has been made: `marketing-pipelines token create` makes one."
                )
            address, now = client[0] if client else "", self._site.now()
            is_stranger = token is None and not is_cron
            shared = self._strangers.shared_entry(address, now) if is_stranger else None
            if shared is not None:
                audit.note_another(connection, shared)
                return Visit(shared, refusal=refusal, is_one_of_many=True)
            entry = audit.note(
                connection,
                at=now,
                actor=token.name if token else "cron secret" if is_cron else "unknown",
                token_id=token.id if token else None,
                organization_id=token.organization_id if token else None,
                address=address or None,
                method=scope["method"],
                path=path,
            )
        if is_stranger:
            self._strangers.noted(address, entry, now)
        return Visit(entry, token, sign_in, is_cron, refusal)

    def _cron(self, given: str) -> tuple[bool, Refusal | None]:
        secret = self._site.settings.cron_secret
        if secret is None:
            return False, Refusal(
                503, "No secret is set for external schedulers: set MARKETING_CRON_SECRET."
            )
        digests = (hashlib.sha256(text.encode()).digest() for text in (given, secret))
        return hmac.compare_digest(*digests), None

    def _leave(self, visit: Visit, status: int) -> None:
        """Completes the entry; it stays without a status if the database fails in between."""
        with (
            contextlib.suppress(sa.exc.OperationalError),
            self._site.engine.begin() as connection,
        ):
            audit.answered(connection, visit.entry, status)


def signed_in_as(
    site: Site, connection: sa.Connection, headers: Headers
) -> tuple[SignIn, tokens.Token] | tuple[None, None]:
    """The sign-in that a request's cookie stands for, while it and its token are valid."""
    now = site.now()
    sign_in = site.signer.read(_cookie_of(headers, site.front.cookie), now)
    if sign_in is None or not user_sessions.is_open(connection, sign_in.id, sign_in.token_id, now):
        return None, None
    token = tokens.find(connection, sign_in.token_id)
    return (sign_in, token) if token else (None, None)


def is_guarded(path: str) -> bool:
    """Returns true if the address needs a token or a sign-in."""
    return any(_is_below(path, guarded) for guarded in GUARDED)


def require(scope: tokens.Scope, *, in_organization: bool = False) -> Any:
    """The dependency of an address that asks for a token with this scope.

    Args:
        in_organization: A token of one organization is enough; the address keeps to it.
    """

    def check(
        request: Request,
        _: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    ) -> Visit:
        visit: Visit = request.state.visit
        if visit.token is None:
            raise Refusal(
                401,
                "A valid token is needed: send it as bearer token in the header Authorization.",
                CHALLENGE,
            )
        if in_organization:
            refuse_without_scope(visit.token, scope)
        else:
            refuse_without(visit.token, scope)
        return visit

    return Security(check)


def refuse_without(token: tokens.Token | None, scope: tokens.Scope) -> None:
    """Refuses a token that has not this scope for the whole installation."""
    refuse_without_scope(token, scope)
    if token is None or not token.allows(scope):
        raise Refusal(403, OF_ONE_ORGANIZATION)


def refuse_without_scope(token: tokens.Token | None, scope: tokens.Scope) -> None:
    """Refuses a token that has not this scope."""
    if token is None or not token.has(scope):
        raise Refusal(403, f"This token does not allow it: one with scope {scope} does.")


def require_cron_secret(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Security(_cron_bearer)],
) -> None:
    """The dependency of an address for external schedulers."""
    visit: Visit = request.state.visit
    if not visit.is_cron:
        raise Refusal(
            401,
            "The cron secret is needed: send the value of MARKETING_CRON_SECRET as bearer token in "
            "the header Authorization.",
            CHALLENGE,
        )


def signed_in(scope: tokens.Scope | None = None) -> Callable[[Request], Visit]:
    """The dependency of a page: the user who signed in, with the scope that the page needs."""

    def check(request: Request) -> Visit:
        visit: Visit = request.state.visit
        if visit.token is None:
            raise Refusal(303, "Sign in first.", {"Location": SIGN_IN})
        if scope is not None:
            refuse_without(visit.token, scope)
        return visit

    return check


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def bearer_of(headers: Headers) -> str:
    kind, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if kind.lower() == "bearer" else ""


def _cookie_of(headers: Headers, name: str) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""
