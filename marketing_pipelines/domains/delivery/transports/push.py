"""Push notifications over HTTP, as Firebase Cloud Messaging takes them."""

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx2
import jwt

from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered
from marketing_pipelines.domains.delivery.transports.http import (
    HttpLine,
    object_of,
    refusal,
    sentence_of,
)
from marketing_pipelines.domains.delivery.transports.http_services import PushService
from marketing_pipelines.domains.delivery.transports.outcomes import (
    AttemptError,
    BouncedError,
    LineError,
    UnknownOutcomeError,
)

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# An access token is renewed so long before it expires.
EARLY = 300.0
# Of several devices that fail, the outcome that leaves most possible decides.
_MOST_OPEN_FIRST = (UnknownOutcomeError, LineError, AttemptError, MessageError, BouncedError)


class PushTransport:
    """Hands notifications to one project."""

    repeatable = False

    def __init__(self, service: PushService) -> None:
        self._service = service
        self._http = HttpLine(service.base)
        self._access = _AccessToken(service)
        self.line = f"push+{service.base}"

    def send(self, message: Rendered) -> str | None:
        """Hands over a notification to each device of a contact; see `Transport.send`.

        It is taken if one device took it. Devices that no longer exist are noted in `message.gone`,
        whatever the others answer.
        """
        taken: list[str] = []
        failures: list[Exception] = []
        for token in message.recipient.split():
            try:
                taken.append(self._send_to(token, message))
            except _MOST_OPEN_FIRST as error:
                failures.append(error)
                if isinstance(error, BouncedError):
                    message.gone.append(token)
        if taken:
            return taken[0]
        raise min(failures, key=_openness)

    def _send_to(self, token: str, message: Rendered) -> str:
        content = message.content
        notification = {"title": content.get("title", ""), "body": content["text"]}
        request = {
            "token": token,
            "notification": notification,
            "data": {"message_id": str(message.id)},
        }
        answer = self._http.post(
            f"{self._service.project}/messages:send",
            json={"message": request},
            headers={"Authorization": f"Bearer {self._access.value()}"},
        )
        if answer.is_success:
            return str(object_of(answer).get("name", ""))
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            self._access.forget()
        raise _refusal(self.line, answer)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def check(self) -> str:
        """Gets an access token.

        Raises:
            LineError: the file cannot be used, or its server refuses it.
        """
        self._access.forget()
        self._access.value()
        return f"{self._service.project} has an access token"


def _refusal(line: str, answer: httpx2.Response) -> Exception:
    code = _error_code(answer)
    said = f"{line} answers {answer.status_code} {code}: {sentence_of(answer)}"
    if code == "UNREGISTERED" or (code == "INVALID_ARGUMENT" and _names_the_token(answer)):
        return BouncedError(said, "hard")
    if code == "SENDER_ID_MISMATCH":
        return MessageError(said)
    if code == "QUOTA_EXCEEDED":
        return LineError(said, is_slow_down=True)
    if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
        found = refusal(line, answer)
        return found if isinstance(found, LineError) else LineError(said)
    return refusal(line, answer)


def _details(answer: httpx2.Response) -> list[Mapping[str, Any]]:
    error = object_of(answer).get("error")
    details = error.get("details") if isinstance(error, dict) else None
    return [one for one in details or [] if isinstance(one, dict)]


def _error_code(answer: httpx2.Response) -> str:
    codes = [str(detail["errorCode"]) for detail in _details(answer) if "errorCode" in detail]
    error = object_of(answer).get("error")
    status = str(error.get("status", "")) if isinstance(error, dict) else ""
    return codes[0] if codes else status


def _names_the_token(answer: httpx2.Response) -> bool:
    fields = [
        str(violation.get("field", ""))
        for detail in _details(answer)
        for violation in detail.get("fieldViolations", [])
        if isinstance(violation, dict)
    ]
    return any(field.endswith("token") for field in fields)


def _openness(error: Exception) -> int:
    return next(place for place, kind in enumerate(_MOST_OPEN_FIRST) if isinstance(error, kind))


class _AccessToken:
    """The access token of a service account, renewed before it expires."""

    def __init__(self, service: PushService) -> None:
        self._file = service.credentials
        self._lock = threading.Lock()
        self._value = ""
        self._good_until = 0.0

    def value(self) -> str:
        """The token.

        Raises:
            LineError: there is none to have.
        """
        with self._lock:
            if time.monotonic() >= self._good_until:
                self._value, seconds = self._fetch()
                self._good_until = time.monotonic() + max(seconds - EARLY, seconds / 2)
            return self._value

    def forget(self) -> None:
        """Makes the next use fetch a new one."""
        with self._lock:
            self._good_until = 0.0

    def _fetch(self) -> tuple[str, float]:
        try:
            account = json.loads(self._file.read_text(encoding="utf-8"))
            uri, now = account["token_uri"], int(time.time())
            claims = {
                "iss": account["client_email"],
                "scope": SCOPE,
                "aud": uri,
                "iat": now,
                "exp": now + 3600,
            }
            assertion = jwt.encode(claims, account["private_key"], algorithm="RS256")
        except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            raise LineError(
                f"The credentials of MARKETING_PUSH_URL, {self._file}, cannot be used "
                f"({type(error).__name__}): name the key file of a service account"
            ) from error
        try:
            answer = httpx2.post(uri, data={"grant_type": _GRANT, "assertion": assertion})
        except httpx2.HTTPError as error:
            raise LineError(f"{uri} cannot be reached: {error}") from error
        body = object_of(answer)
        if not answer.is_success or "access_token" not in body:
            raise LineError(f"{uri} gives no access token: {answer.status_code}")
        return str(body["access_token"]), float(body.get("expires_in", 3600))
