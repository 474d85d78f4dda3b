"""What is refused before anybody reads it: bodies that are too long, addresses with a NUL."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketing_pipelines.api.answers import Refusal, answer

LONGEST_BODY = 1_000_000
LONGEST_LENGTH = len(str(LONGEST_BODY))


class Limits:
    """Reads the body, whatever its encoding, and hands it on only if it is short enough."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            _refuse_nul(scope)
            body = await _read(scope, receive)
        except Refusal as refusal:
            await answer(scope["path"], refusal)(scope, receive, send)
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, replay, send)


def _refuse_nul(scope: Scope) -> None:
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        raise Refusal(400, "An address cannot contain the character NUL: leave it out.")


async def _read(scope: Scope, receive: Receive) -> bytes:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    if not all(_is_short(length) for length in lengths):
        raise _too_long()
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > LONGEST_BODY:
            raise _too_long()
    return bytes(body)


def _is_short(length: bytes) -> bool:
    return length.isdigit() and len(length) <= LONGEST_LENGTH and int(length) <= LONGEST_BODY


def _too_long() -> Refusal:
    return Refusal(413, f"The body is longer than {LONGEST_BODY:,} bytes: send less at once.")
