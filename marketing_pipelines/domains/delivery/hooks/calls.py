"""One call of a provider, and the reasons for which it is refused as a whole."""

import datetime as dt
import email
import email.policy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from marketing_pipelines.failures import BadInputError, ConfigurationError, PermanentError

if TYPE_CHECKING:
    from httpx2 import BaseTransport

MAX_ELEMENTS = 10_000
MAX_FIELDS = 1_000


class ForgedCallError(PermanentError):
    """A call without a valid signature."""


class UnreadableCallError(BadInputError):
    """A call whose body as a whole cannot be read."""


class TooManyElementsError(BadInputError):
    """A call with more elements than one transaction takes."""


@dataclass(frozen=True)
class HookCall:
    """A request as it came.

    Attributes:
        url: Its address as the provider knows it, with the query; None: it is not known.
        headers: By names in small letters.
        transport: HTTP transport for further requests to the provider; None: the usual one.
    """

    received_at: dt.datetime
    url: str | None
    query: str
    headers: Mapping[str, str]
    body: bytes
    transport: "BaseTransport | None" = None

    def header(self, name: str) -> str:
        """A header; empty where it is missing."""
        return self.headers.get(name, "")

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the address."""
        return dict(parse_qsl(self.query, keep_blank_values=True, max_num_fields=MAX_FIELDS))

    def known_url(self) -> str:
        """The address as the provider knows it.

        Raises:
            ConfigurationError: only `MARKETING_PUBLIC_URL` would say it.
        """
        if self.url is None:
            raise ConfigurationError(
                "MARKETING_PUBLIC_URL is not set: set it to the address of the API that the "
                "provider signs."
            )
        return self.url

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            UnreadableCallError: it is none.
        """
        try:
            return read_json(self.body.decode())
        except ValueError:
            raise UnreadableCallError("The body is no JSON.") from None

    def form(self) -> dict[str, str]:
        """The fields of a form, in either encoding; of one that comes twice the last.

        Raises:
            UnreadableCallError: the body is none.
        """
        kind = self.header("content-type")
        try:
            if kind.lower().startswith("multipart/form-data"):
                return _parts(kind, self.body)
            return dict(
                parse_qsl(
                    self.body.decode(),
                    keep_blank_values=True,
                    max_num_fields=MAX_FIELDS,
                    errors="strict",
                )
            )
        except ValueError:
            raise UnreadableCallError("The body is no form.") from None


def read_json(text: str) -> Any:
    """A JSON text as values that PostgreSQL can store.

    Raises:
        ValueError: it is none, or is nested too deep.
    """
    try:
        return _storable(json.loads(text, parse_constant=str))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def require_key(value: str | None, name: str) -> list[str]:
    """The keys of a setting.

    Raises:
        ConfigurationError: it is not set.
    """
    keys = [key.strip() for key in (value or "").split(",") if key.strip()]
    if not keys:
        raise ConfigurationError(
            f"{name} is not set: set it to what the provider signs its webhook with."
        )
    return keys


def require_objects(found: Any) -> Sequence[Any]:
    """The elements of a call: a list, or one object.

    Raises:
        UnreadableCallError: it is neither.
        TooManyElementsError: there are too many.
    """
    if isinstance(found, dict):
        return [found]
    if not isinstance(found, list):
        raise UnreadableCallError("The body is neither a JSON object nor an array of them.")
    if len(found) > MAX_ELEMENTS:
        raise TooManyElementsError(
            f"The body has more than {MAX_ELEMENTS:,} elements: send fewer at once."
        )
    return found


def _parts(kind: str, body: bytes) -> dict[str, str]:
    head = b"Content-Type: " + kind.encode("latin-1", "replace") + b"\r\n\r\n"
    parsed = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    fields: dict[str, str] = {}
    for part in parsed.iter_parts() if parsed.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = content.decode()
    return fields


def _storable(value: Any) -> Any:
    """A value without what `jsonb` refuses: NUL, halves of characters, infinite numbers."""
    if isinstance(value, str):
        return (
            value.replace("\0", "\N{REPLACEMENT CHARACTER}")
            .encode("utf-16", "surrogatepass")
            .decode("utf-16", "replace")
        )
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    if isinstance(value, dict):
        return {_storable(name): _storable(below) for name, below in value.items()}
    if isinstance(value, list):
        return [_storable(below) for below in value]
    return value
