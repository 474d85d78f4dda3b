"""In front of Dagster's web server: other sites' pages and strangers do not reach it.

Dagster takes mutations by GET, from any origin, under any host name, and has no sign-in.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketing_pipelines.api import graphql_requests, tokens
from marketing_pipelines.api.admission import CHALLENGE, bearer_of, refuse_without, signed_in_as
from marketing_pipelines.api.answers import Refusal, answer
from marketing_pipelines.api.hosts import KnownHosts, unknown_host
from marketing_pipelines.api.limits import read_body, replay
from marketing_pipelines.api.rendering import SIGN_IN, SIGN_OUT, STYLE
from marketing_pipelines.api.site import Site

MAX_BODY_BYTES = 10_000_000
# A websocket whose sign-in ended is closed with the first message after so many seconds.
SECONDS_BETWEEN_LOOKS = 5.0
READING = ("GET", "HEAD", "OPTIONS")
_POLICY_VIOLATION = 1008
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class UiGuard:
    """The web server behind its checks.

    Attributes:
        app: Dagster's application.
        door: The pages for signing in and out.
        asks_for_sign_in: True if a token is needed: scope read to look, admin to change anything.
    """

    app: ASGIApp
    door: ASGIApp
    site: Site
    hosts: KnownHosts
    asks_for_sign_in: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        has_begun = False

        async def begun(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            self._refuse_foreign(scope)
            if scope["type"] == "websocket":
                await self._converse(scope, receive, begun)
            else:
                await self._serve(scope, receive, begun)
        except Exception as error:
            # A started answer cannot be replaced; a websocket can still be closed.
            if has_begun and scope["type"] == "http":
                raise
            await _refuse(error, scope, receive, send)

    def _refuse_foreign(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self.hosts.knows(host):
            raise unknown_host(headers.getlist("host"), "MARKETING_UI_URL")
        origins = headers.getlist("origin")
        if any(not self.hosts.is_own(origin, host) for origin in origins):
            raise _foreign()
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            follows_link = (
                scope["type"] == "http"
                and scope["method"] == "GET"
                and headers.get("sec-fetch-mode") == "navigate"
                and headers.get("sec-fetch-dest") == "document"
                and not _is_graphql(scope)
            )
            if not follows_link:
                raise _foreign()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in (SIGN_IN, SIGN_OUT, STYLE):
            await self.door(scope, receive, send)
            return
        if self.asks_for_sign_in:
            await self._require(scope, "read")
        if scope["method"] not in READING:
            body = await read_body(scope, receive, MAX_BODY_BYTES)
            receive = replay(body, receive)
        if _is_graphql(scope):
            if scope["method"] in READING:
                document = graphql_requests.of_query(scope["query_string"])
            else:
                kind = Headers(scope=scope).get("content-type", "")
                document = graphql_requests.of_body(kind, body)
            changes = graphql_requests.changes(document)
            if changes and scope["method"] in READING:
                raise Refusal(405, "A mutation is sent by POST.", {"Allow": "POST"})
        else:
            changes = scope["method"] not in READING
        if changes and self.asks_for_sign_in:
            await self._require(scope, "admin")
        await self.app(scope, receive, _unframed(send))

    async def _converse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.asks_for_sign_in:
            await self._require(scope, "read")
        looked = time.monotonic()

        async def heard() -> Message:
            message = await receive()
            text = message.get("text") or (message.get("bytes") or b"").decode(errors="replace")
            if message["type"] == "websocket.receive" and graphql_requests.changes(
                graphql_requests.of_message(text)
            ):
                raise Refusal(405, "A mutation is sent by POST.")
            return message

        async def said(message: Message) -> None:
            nonlocal looked
            if self.asks_for_sign_in and time.monotonic() - looked > SECONDS_BETWEEN_LOOKS:
                await self._require(scope, "read")
                looked = time.monotonic()
            await send(message)

        await self.app(scope, heard, said)

    async def _require(self, scope: Scope, wanted: tokens.Scope) -> None:
        token = await run_in_threadpool(self._token, Headers(scope=scope))
        if token is None:
            raise Refusal(401, f"Sign in first, at {SIGN_IN}.", CHALLENGE)
        refuse_without(token, wanted)

    def _token(self, headers: Headers) -> tokens.Token | None:
        with self.site.engine.begin() as connection:
            if "authorization" in headers:
                return tokens.verify(connection, bearer_of(headers))
            _, token = signed_in_as(self.site, connection, headers)
            return token


def _is_graphql(scope: Scope) -> bool:
    return bool(scope["path"].rstrip("/") == graphql_requests.PATH)


def _foreign() -> Refusal:
    return Refusal(403, "This request came from another site: make it from the Dagster UI itself.")


def _unframed(send: Send) -> Send:
    """Adds to an answer that no other site may show it in a frame."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Frame-Options"] = "SAMEORIGIN"
        await send(message)

    return sent


async def _refuse(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        # Starlette wraps a refusal of an open websocket.
        refusal = error if isinstance(error, Refusal) else error.__cause__
        reason = "It failed: the log of the UI says why."
        if isinstance(refusal, Refusal):
            reason = refusal.detail
        else:
            _logger.warning("%s: a websocket failed.", scope["path"], exc_info=error)
        # Not accepted yet: the server answers 403.
        close: dict[str, Any] = {"type": "websocket.close", "code": _POLICY_VIOLATION}
        await send({**close, "reason": reason[:100]})
        return
    headers = Headers(scope=scope)
    is_stranger = isinstance(error, Refusal) and error.status_code == 401
    if is_stranger and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
        await RedirectResponse(SIGN_IN, 303)(scope, receive, send)
    elif _is_graphql(scope) and isinstance(error, Refusal):
        body = {"error": error.detail, "errors": [{"message": error.detail}]}
        await JSONResponse(body, error.status_code, error.headers)(scope, receive, send)
    else:
        await answer(scope["path"], error)(scope, receive, send)
