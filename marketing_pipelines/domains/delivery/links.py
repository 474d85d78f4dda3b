"""Signed links in messages: each holds its own data, so that nothing is looked up to trust it.

The same link has the same text each time, so that a message that is written again is the same.
"""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from itsdangerous import BadData, URLSafeSerializer

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.secret_keys import signing_keys
from marketing_pipelines.settings import Settings

# Default address of `api`, for a first try on one machine.
OWN_MACHINE = "http://127.0.0.1:8000"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_TICK = dt.timedelta(microseconds=1)
Purpose = Literal["unsubscribe", "preferences", "view", "confirm", "open", "click", "export"]
OfMessage = Literal["unsubscribe", "preferences", "view", "open"]


@dataclass(frozen=True)
class ClickedLink:
    """A counted link of a message.

    Attributes:
        number: Its place among the message's links, from 1.
        target: The address that it leads to.
    """

    message_id: int
    number: int
    target: str


@dataclass(frozen=True)
class Confirmation:
    """The consent that a confirmation link gives.

    Attributes:
        expires_at: The end of the link's life, in whole seconds.
    """

    contact_id: int
    category_id: int
    expires_at: dt.datetime


@dataclass(frozen=True)
class ExportedFile:
    """The file that a link gives out.

    The numbers of exports begin anew after a restore: the organization and the microsecond of its
    end tell the export from a later one of the same number.

    Attributes:
        expires_at: The end of the link's life.
    """

    export_id: int
    organization_id: int
    expires_at: dt.datetime


def public_base(settings: Settings) -> str | None:
    """The address of the API for others, without a slash at its end; None: it is not known."""
    if settings.public_url is not None:
        return settings.public_url.rstrip("/")
    return OWN_MACHINE if settings.env == "development" else None


class Links:
    """Makes and reads the signed links of an installation."""

    def __init__(self, base: str, keys: Sequence[str]) -> None:
        """Takes the address of the API, and the valid keys, oldest first; the last one signs."""
        self._base = base.rstrip("/")
        self._keys = list(keys)

    @classmethod
    def of(cls, settings: Settings) -> "Links":
        """The links of an installation.

        Raises:
            ConfigurationError: a real installation has no `MARKETING_PUBLIC_URL`.
        """
        base = public_base(settings)
        if base is None:
            raise ConfigurationError(
                "MARKETING_PUBLIC_URL is not set: set it to the address of the API for the links "
                "in messages, such as https://marketing.example.org."
            )
        return cls(base, signing_keys(settings))

    def unsubscribe(self, message_id: int) -> str:
        """The address that leaves the message's category."""
        return f"{self._base}/unsubscribe/{self._signed('unsubscribe', message_id)}"

    def preferences(self, message_id: int) -> str:
        """The page on which the message's recipient chooses categories."""
        return f"{self._base}/preferences/{self._signed('preferences', message_id)}"

    def view(self, message_id: int) -> str:
        """The page that shows the message in a browser."""
        return f"{self._base}/view/{self._signed('view', message_id)}"

    def confirm(self, asked: Confirmation) -> str:
        """The page on which a subscription is confirmed."""
        expires_at = int(asked.expires_at.timestamp())
        token = self._signed("confirm", asked.contact_id, asked.category_id, expires_at)
        return f"{self._base}/confirm/{token}"

    def open(self, message_id: int) -> str:
        """The image that counts an opening of the message."""
        return f"{self._base}/o/{self._signed('open', message_id)}.gif"

    def click(self, link: ClickedLink) -> str:
        """The address that counts a click and leads to the link's target."""
        return f"{self._base}/c/{self._signed('click', link.message_id, link.number, link.target)}"

    def export(self, file: ExportedFile) -> str:
        """The address at which the file of an export is fetched."""
        ends = (file.expires_at - _EPOCH) // _TICK
        token = self._signed("export", file.export_id, file.organization_id, ends)
        return f"{self._base}/exports/{token}"

    def message_of(self, purpose: OfMessage, token: str) -> int | None:
        """The number of the message that a token is about; None: the token is forged."""
        match self._read(purpose, token):
            case [int(message_id)]:
                return message_id
        return None

    def clicked(self, token: str) -> ClickedLink | None:
        """The link that a token stands for; None: the token is forged."""
        match self._read("click", token):
            case [int(message_id), int(number), str(target)]:
                return ClickedLink(message_id, number, target)
        return None

    def confirmation(self, token: str) -> Confirmation | None:
        """The consent that a token gives, expired or not; None: the token is forged."""
        match self._read("confirm", token):
            case [int(contact_id), int(category_id), int(expires_at)]:
                at = dt.datetime.fromtimestamp(expires_at, dt.UTC)
                return Confirmation(contact_id, category_id, at)
        return None

    def exported(self, token: str) -> ExportedFile | None:
        """The file that a token gives out, expired or not; None: the token is forged."""
        match self._read("export", token):
            case [int(export_id), int(organization_id), int(ends)]:
                return ExportedFile(export_id, organization_id, _EPOCH + ends * _TICK)
        return None

    def _signed(self, purpose: Purpose, *values: int | str) -> str:
        signed = self._serializer(purpose).dumps(values)
        return signed if isinstance(signed, str) else signed.decode()

    def _read(self, purpose: Purpose, token: str) -> Any:
        try:
            return self._serializer(purpose).loads(token)
        # A character beyond Unicode's texts cannot be part of a token.
        except (BadData, UnicodeError):
            return None

    def _serializer(self, purpose: Purpose) -> URLSafeSerializer:
        """The signature of a purpose, so that no token is good for another one."""
        return URLSafeSerializer(
            self._keys,
            salt=f"link:{purpose}",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )
