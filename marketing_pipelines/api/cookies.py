"""Signing in: a token is shown once, and a signed cookie stands for it afterwards."""

import datetime as dt
import secrets
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeSerializer

from marketing_pipelines.api.user_sessions import VALID_FOR


@dataclass(frozen=True)
class SignIn:
    """A sign-in as its cookie names it.

    Attributes:
        id: Its row of `ops.user_sessions`.
        nonce: Differs between two sign-ins with one token.
    """

    id: int
    token_id: int
    nonce: str


class Signer:
    """Makes and reads the cookie of a sign-in and the key that its forms carry."""

    def __init__(self, key: str) -> None:
        self._cookies = URLSafeSerializer(key, salt="sign-in")
        self._forms = URLSafeSerializer(key, salt="form")

    def write(self, number: int, token_id: int, now: dt.datetime) -> str:
        """The cookie of a new sign-in."""
        nonce = secrets.token_urlsafe(16)
        return self._text(self._cookies.dumps([number, token_id, nonce, int(now.timestamp())]))

    def read(self, cookie: str, now: dt.datetime) -> SignIn | None:
        """Returns the sign-in of a cookie; None: it is not ours, or too old."""
        try:
            number, token_id, nonce, signed_at = self._cookies.loads(cookie)
        # A cookie of an earlier release has fewer values.
        except (BadData, ValueError):
            return None
        if now.timestamp() - signed_at > VALID_FOR.total_seconds():
            return None
        return SignIn(number, token_id, nonce)

    def form_key(self, sign_in: SignIn) -> str:
        """Returns the key that a form of this sign-in carries; no other site can send it."""
        return self._text(self._forms.dumps(sign_in.nonce))

    def is_from(self, sign_in: SignIn, form_key: str) -> bool:
        """Returns true if the form was made for this sign-in."""
        try:
            nonce = self._forms.loads(form_key)
        except BadData:
            return False
        return bool(nonce == sign_in.nonce)

    @staticmethod
    def _text(signed: str | bytes) -> str:
        return signed if isinstance(signed, str) else signed.decode()
