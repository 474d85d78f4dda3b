"""A token endpoint, and grants that it gave."""

import threading
from typing import Any

from marketing_pipelines.domains.integrations import vault
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.integrations.service import Asked, Said, Service
from marketing_pipelines_tests.integrations.world import Connected

CLIENT = "s3cret-of-the-application"


class Provider:
    """A token endpoint that replaces the refresh token at each use.

    Attributes:
        valid: The refresh token that it takes.
        former: The one before, which it takes too if it `forgives`.
        more: Further members of its answers.
    """

    def __init__(self, outside: Service, *, forgives: bool = False) -> None:
        self.outside, self.forgives = outside, forgives
        self.valid, self.former, self.given = "refresh-0-aaaaaaaa", "", 0
        self.more: dict[str, Any] = {"expires_in": 3600}
        self.lock = threading.Lock()
        outside.answer = self.answer

    def answer(self, asked: Asked) -> Said:
        """The answer to a request for tokens."""
        with self.lock:
            taken = [self.valid, self.former] if self.forgives else [self.valid]
            if asked.body["refresh_token"] not in taken:
                return Said({"error": "invalid_grant"}, status=400)
            self.given += 1
            self.former, self.valid = self.valid, f"refresh-{self.given}-aaaaaaaa"
            tokens = {"access_token": f"access-{self.given}-bbbbbbbb", "refresh_token": self.valid}
            return Said(tokens | self.more)


def made(world: Connected, provider: Provider, **fields: Any) -> Connection:
    """A grant with the provider's valid refresh token, without an access token."""
    given = {
        "name": "google-ann",
        "token_url": f"{provider.outside.url}/token",
        "client_id": "app",
        "client_secret": CLIENT,
        "refresh_token": provider.valid,
    }
    return world.connect("oauth", **given | fields)


def secrets(world: Connected) -> dict[str, str]:
    """The secrets in the one row."""
    [(sealed,)] = world.rows("select secrets from integrations.connections")
    return vault.decrypt(get_settings(), sealed, "it")


def kept(world: Connected) -> str:
    """The refresh token in the one row."""
    return secrets(world)["refresh_token"]
