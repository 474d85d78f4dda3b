"""The one client for HTTP services: deadlines, retries, rates, sizes and redirects.

Whatever a service answers becomes an `HttpAnswer` or one of the errors below, whose class says what
to do next. Their texts name the address without its query, since some services take keys there.
"""

import datetime as dt
import email.utils
import logging
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx2
import stamina
import stamina.instrumentation

from marketing_pipelines.domains.integrations.json_answers import json_of
from marketing_pipelines.domains.integrations.spacing import Spacing
from marketing_pipelines.failures import PermanentError, RetryableError
from marketing_pipelines.redaction import redact

MAX_REDIRECTS = 5
MAX_SENTENCE = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LOGIN = frozenset({401, 403})
OTHER_KEYS = ": give other keys with `connection set`."
_SENTENCES = ("error_description", "error", "message", "ExceptionMessage", "detail")
_logger = logging.getLogger(__name__)
# The library's own lines hold the whole URL; ours are below.
logging.getLogger("httpx2").setLevel(logging.WARNING)
logging.getLogger("httpcore2").setLevel(logging.WARNING)
stamina.instrumentation.set_on_retry_hooks([])


class ServiceUnavailableError(RetryableError):
    """The service cannot be reached, is too slow, answers 5xx or asks for fewer calls.

    Attributes:
        wait: The pause that it asks for; None: it names none.
    """

    def __init__(self, text: str, wait: dt.timedelta | None = None) -> None:
        super().__init__(text)
        self.wait = wait


class WrongAnswerError(RetryableError):
    """The service answers something that is none of its own answers."""


class _RefusedError(PermanentError):
    """A refusal.

    Attributes:
        code: The service's own word for the reason, such as invalid_grant; None: it has none.
    """

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


class AnswerTooLargeError(WrongAnswerError):
    """The service answers more than the limits allow."""


class RequestRefusedError(_RefusedError):
    """The service refuses the request itself: 400, 404, 422 and the like."""


class TimeUsedUpError(RetryableError):
    """The time for all calls to the service is used up; the service itself may be well."""


class LoginRefusedError(_RefusedError):
    """The service refuses key or password: a person has to give others."""


@dataclass(frozen=True)
class HttpLimits:
    """The most that one request may take.

    Attributes:
        timeout: Seconds without a byte of the answer.
        connect: Seconds to connect, and again for the handshake of TLS.
        deadline: Seconds for all attempts, pauses included.
        attempts: Attempts in all.
        max_bytes: Size of an answer.
    """

    timeout: float = 20.0
    connect: float = 20.0
    deadline: float = 120.0
    attempts: int = 4
    max_bytes: int = 16 << 20


@dataclass(frozen=True)
class HttpAnswer:
    """An answer with status 2xx or 304.

    Attributes:
        source: The address that answered, for sentences.
    """

    source: str
    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def is_unchanged(self) -> bool:
        return self.status == httpx2.codes.NOT_MODIFIED

    @property
    def etag(self) -> str | None:
        return self.headers.get("ETag")

    def json_object(self) -> dict[str, Any]:
        """The JSON object of the body, as `json_answers` reads it.

        Raises:
            WrongAnswerError: it holds none.
        """
        try:
            found = json_of(self.body)
        except (ValueError, RecursionError) as error:
            raise WrongAnswerError(f"{self.source} does not answer in JSON.") from error
        if not isinstance(found, dict):
            raise WrongAnswerError(f"{self.source} answers JSON that is no object.")
        return found


class ServiceClient:
    """Calls one service; closed by `with`.

    Args:
        url: Base address; paths are appended to it.
        headers: Of every request to it; never sent to another host.
        query: Added to every request to it; never sent to another host.
        spacing: The rate of calls; None: as fast as it answers.
        ends_at: The instant of the monotonic clock that ends all calls; None: each has the deadline
            of the limits alone.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        spacing: Spacing | None = None,
        limits: HttpLimits | None = None,
        ends_at: float | None = None,
    ) -> None:
        self._base = url.rstrip("/")
        self._own_headers = dict(headers or {})
        self._query = dict(query or {})
        self._spacing = spacing
        self._limits = limits or HttpLimits()
        self._ends_at = math.inf if ends_at is None else ends_at
        # Answers come as they are: the size of an answer is the size that is read.
        self._client = httpx2.Client(
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            timeout=self._limits.timeout,
            follow_redirects=False,
        )

    def __enter__(self) -> "ServiceClient":
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.close()

    def get(
        self, path: str, query: Mapping[str, str] | None = None, *, etag: str | None = None
    ) -> HttpAnswer:
        """Reads; with the version that the caller has, the answer may be `is_unchanged`.

        Raises:
            ServiceUnavailableError, WrongAnswerError, RequestRefusedError, LoginRefusedError: there
                is no usable answer.
        """
        headers = {"If-None-Match": etag} if etag is not None else {}
        return self._answered("GET", path, query or {}, headers, {})

    def post(self, path: str, body: Any) -> HttpAnswer:
        """Sends a JSON value, as often as the limits allow: for requests that change nothing.

        Raises:
            ServiceUnavailableError, WrongAnswerError, RequestRefusedError, LoginRefusedError: there
                is no usable answer.
        """
        return self._answered("POST", path, {}, {}, {"json": body})

    def post_form(self, path: str, form: Mapping[str, str]) -> HttpAnswer:
        """Sends a form, as often as the limits allow.

        Raises:
            ServiceUnavailableError, WrongAnswerError, RequestRefusedError, LoginRefusedError: there
                is no usable answer.
        """
        return self._answered("POST", path, {}, {}, {"data": dict(form)})

    def _answered(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        content: Mapping[str, Any],
    ) -> HttpAnswer:
        now = time.monotonic()
        if now >= self._ends_at:
            raise TimeUsedUpError(f"The time for calls to {self._base} is used up.")
        ends_at = min(now + self._limits.deadline, self._ends_at)

        def backoff(error: Exception) -> bool | float:
            return pause_before_retry(error, ends_at - time.monotonic())

        for attempt in stamina.retry_context(
            on=backoff,
            attempts=self._limits.attempts,
            timeout=ends_at - now,
            wait_initial=0.5,
            wait_max=20.0,
            wait_jitter=0.5,
        ):
            with attempt:
                return self._follow(method, f"{self._base}{path}", query, headers, content, ends_at)
        raise RuntimeError("The last attempt neither returned nor raised.")

    def _follow(
        self,
        method: str,
        url: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        content: Mapping[str, Any],
        ends_at: float,
    ) -> HttpAnswer:
        """One attempt, over the redirects of a GET."""
        sent, sent_query = {**self._own_headers, **headers}, {**self._query, **query}
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._once(method, url, sent_query, sent, content, ends_at)
            if answer.status not in _REDIRECTS:
                return answer
            target = self._target(method, url, answer)
            if not _same_origin(url, target):
                # Keys of this service are none of another host's business.
                sent = dict(headers)
            url, sent_query = target, {}
        raise WrongAnswerError(f"{answer.source} redirects more than {MAX_REDIRECTS} times.")

    def _target(self, method: str, url: str, answer: HttpAnswer) -> str:
        location = answer.headers.get("Location")
        if location is None or method != "GET":
            raise RequestRefusedError(
                f"{answer.source} answers {answer.status}: the service has moved; set the url of "
                "the connection anew."
            )
        target = urljoin(url, location)
        if not target.startswith(("https://", "http://")) or (
            url.startswith("https://") and not target.startswith("https://")
        ):
            raise WrongAnswerError(f"{answer.source} redirects to an address without https.")
        return target

    def _once(
        self,
        method: str,
        url: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        content: Mapping[str, Any],
        ends_at: float,
    ) -> HttpAnswer:
        if self._spacing is not None:
            self._spacing.wait()
        source = url.partition("?")[0]
        left = ends_at - time.monotonic()
        try:
            with self._client.stream(
                method,
                url,
                params=dict(query) if query else None,
                headers=dict(headers),
                **content,
                timeout=httpx2.Timeout(
                    max(min(self._limits.timeout, left), 0.001),
                    connect=max(min(self._limits.connect, left), 0.001),
                ),
            ) as response:
                answered = self._read(response, source, ends_at)
        except httpx2.TimeoutException as error:
            raise ServiceUnavailableError(f"{source} did not answer in time.") from error
        except httpx2.DecodingError as error:
            raise WrongAnswerError(f"{source} answers something unreadable.") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            said = redact(" ".join(str(error).split())) or type(error).__name__
            raise ServiceUnavailableError(f"{source} cannot be reached: {said}.") from error
        answer = HttpAnswer(source, response.status_code, response.headers, answered)
        if response.is_success or answer.status in _REDIRECTS or answer.is_unchanged:
            return answer
        raise _refusal(answer)

    def _read(self, response: httpx2.Response, source: str, ends_at: float) -> bytes:
        read = bytearray()
        for chunk in response.iter_bytes():
            read += chunk
            if len(read) > self._limits.max_bytes:
                raise AnswerTooLargeError(
                    f"{source} answers more than {self._limits.max_bytes:,} bytes."
                )
            if time.monotonic() > ends_at:
                raise ServiceUnavailableError(f"{source} did not answer in time.")
        return bytes(read)


def pause_before_retry(error: Exception, left: float) -> bool | float:
    """Returns the seconds to wait, true for the usual pause, false if there is no other attempt.

    Args:
        left: Seconds until the deadline.
    """
    if not isinstance(error, ServiceUnavailableError):
        return False
    if error.wait is None:
        return left > 0
    pause = error.wait.total_seconds()
    if pause > left:
        return False
    _logger.info("It is tried again in %g s: %s", pause, error)
    return pause


def retry_after(headers: Mapping[str, str]) -> dt.timedelta | None:
    """The pause that an answer asks for in `Retry-After`: seconds or a date; None: none."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return dt.timedelta(seconds=min(int(text[:9]), 10**8))
    try:
        at = email.utils.parsedate_to_datetime(text).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    return max(at - dt.datetime.now(dt.UTC), dt.timedelta(0))


def _refusal(answer: HttpAnswer) -> Exception:
    said = f"{answer.source} answers {answer.status}{_sentence(answer)}"
    wait = retry_after(answer.headers)
    if answer.status in _LOGIN and wait is None:
        return LoginRefusedError(f"{said}{OTHER_KEYS}", _code(answer))
    if answer.status in (408, 425, 429) or answer.status >= 500 or wait is not None:
        return ServiceUnavailableError(f"{said}.", wait)
    return RequestRefusedError(f"{said}.", _code(answer))


def _code(answer: HttpAnswer) -> str | None:
    """The error of an answer as OAuth, Google and others name it, in one word."""
    found = _error_of(answer).get("error")
    return found if isinstance(found, str) and re.fullmatch(r"[A-Za-z_]{1,50}", found) else None


def _sentence(answer: HttpAnswer) -> str:
    """The service's own words, in one line without secrets."""
    body = _error_of(answer)
    words = (body.get(name) for name in _SENTENCES)
    text = next((" ".join(one.split()) for one in words if isinstance(one, str) and one), "")
    return f" ({redact(text)[:MAX_SENTENCE].rstrip('.')})" if text else ""


def _error_of(answer: HttpAnswer) -> dict[str, Any]:
    """The object of an answer that describes an error; Google's stands in another one."""
    try:
        body = answer.json_object()
    except WrongAnswerError:
        return {}
    inner = body.get("error")
    if isinstance(inner, dict):
        return {"error": inner.get("status"), "error_description": inner.get("message")}
    return body


def _same_origin(one: str, other: str) -> bool:
    first, second = httpx2.URL(one), httpx2.URL(other)
    return (first.scheme, first.host, first.port) == (second.scheme, second.host, second.port)
