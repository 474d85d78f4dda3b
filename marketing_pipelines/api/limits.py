"""Bodies that are too long or come too slowly, and addresses with a NUL, are refused unread."""

import asyncio
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketing_pipelines.api.answers import Refusal, answer

MAX_BODY_BYTES = 1_000_000
SECONDS_FOR_BODY = 30.0


class Limits:
    """Reads the body, of any encoding, and hands it on only if it is short enough."""

    def __init__(self, app: ASGIApp, longer: Mapping[str, int] | None = None) -> None:
        """Takes the longest bodies of addresses that take longer ones, by their beginning."""
        self._app = app
        self._longer = longer or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            refuse_nul(scope)
            body = await read_body(scope, receive, self._longest(scope["path"]))
        except Refusal as refusal:
            await answer(scope["path"], refusal)(scope, receive, send)
            return
        await self._app(scope, replay(body, receive), send)

    def _longest(self, path: str) -> int:
        found = (longest for start, longest in self._longer.items() if path.startswith(start))
        return next(found, MAX_BODY_BYTES)


def refuse_nul(scope: Scope) -> None:
    """Refuses an address that PostgreSQL could not store."""
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        raise Refusal(400, "An address cannot contain the character NUL: leave it out.")


async def read_body(scope: Scope, receive: Receive, longest: int = MAX_BODY_BYTES) -> bytes:
    """The body of a request.

    Raises:
        Refusal: it is longer, or is not whole after `SECONDS_FOR_BODY`.
    """
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    if not all(_is_short(length, longest) for length in lengths):
        raise _too_long(longest)
    body = bytearray()
    more = True
    try:
        async with asyncio.timeout(SECONDS_FOR_BODY):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    break
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > longest:
                    raise _too_long(longest)
    except TimeoutError:
        seconds = f"{SECONDS_FOR_BODY:.0f}"
        raise Refusal(
            408, f"The body was not whole after {seconds} seconds: send it at once.", _CLOSE
        ) from None
    return bytes(body)


_CLOSE = {"Connection": "close"}


def replay(body: bytes, receive: Receive) -> Receive:
    """Hands a body on that was read already."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _is_short(length: bytes, longest: int) -> bool:
    return length.isdigit() and len(length) <= len(str(longest)) and int(length) <= longest


def _too_long(longest: int) -> Refusal:
    return Refusal(413, f"The body is longer than {longest:,} bytes: send less at once.")
