"""Requests to SMS and push services, and the meaning of their answers."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import httpx2

from marketing_pipelines.domains.delivery.rendering import MessageError
from marketing_pipelines.domains.delivery.transports.outcomes import (
    AttemptError,
    LineError,
    UnknownOutcomeError,
)
from marketing_pipelines.domains.integrations.http import retry_after

# Shorter than the lease of a message that is being sent.
TIMEOUT = httpx2.Timeout(30.0, connect=10.0)
MAX_QUIET = dt.timedelta(hours=1)
MAX_SENTENCE = 300
_OF_THE_LINE = frozenset({401, 403, 429})
_OF_THE_MESSAGE = frozenset({400, 404, 422})


class HttpLine:
    """One service; its connections are kept and shared by all threads.

    Attributes:
        name: Scheme, host and port, under which faults are counted.
    """

    def __init__(self, base: str, auth: tuple[str, str] | None = None) -> None:
        self.name = base
        self._client = httpx2.Client(base_url=base, auth=auth, timeout=TIMEOUT)

    def get(self, url: str) -> httpx2.Response:
        """Reads; see `post`."""
        return self._answered("GET", url)

    def post(self, url: str, **request: Any) -> httpx2.Response:
        """Sends a request and returns the answer, of any status.

        Raises:
            LineError: the service cannot be reached.
            UnknownOutcomeError: it did not answer.
        """
        return self._answered("POST", url, **request)

    def _answered(self, method: str, url: str, **request: Any) -> httpx2.Response:
        try:
            return self._client.request(method, url, **request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise LineError(f"{self.name} cannot be reached: {_text(error)}") from error
        except httpx2.HTTPError as error:
            raise UnknownOutcomeError(f"{self.name} did not answer: {_text(error)}") from error

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


def refusal(line: str, answer: httpx2.Response) -> Exception:
    """The outcome of an answer that is not 2xx, where nothing in its body says otherwise."""
    said = f"{line} answers {answer.status_code}: {sentence_of(answer)}"
    quiet_for = _quiet_for(answer.headers)
    if answer.status_code in _OF_THE_LINE or quiet_for is not None:
        is_slow_down = answer.status_code == httpx2.codes.TOO_MANY_REQUESTS
        return LineError(said, is_slow_down=is_slow_down, quiet_for=quiet_for)
    if answer.status_code in _OF_THE_MESSAGE:
        return MessageError(said)
    return AttemptError(said)


def object_of(answer: httpx2.Response) -> Mapping[str, Any]:
    """The JSON object of an answer; empty where it holds none."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def sentence_of(answer: httpx2.Response) -> str:
    """The message in the body of an answer, in one line."""
    body = object_of(answer)
    error = body.get("error")
    message = error.get("message") if isinstance(error, dict) else body.get("message")
    text = " ".join(str(message or answer.reason_phrase).split())
    return text if len(text) <= MAX_SENTENCE else f"{text[:MAX_SENTENCE]}…"


def _quiet_for(headers: Mapping[str, str]) -> dt.timedelta | None:
    """The pause that the service asks for, at most an hour."""
    wait = retry_after(headers)
    return None if wait is None else min(wait, MAX_QUIET)


def _text(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
