"""Fixtures of webhooks."""

from collections.abc import Iterator

import pytest

from marketing_pipelines.domains import load_tables, load_tasks
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.webhooks.world import ALLOWED, Receiver, WebhookWorld, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def hooked(emptied: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookWorld]:
    """An organization alone in its database; webhooks may go to loopback."""
    load_tables()
    load_tasks()
    monkeypatch.setenv("MARKETING_WEBHOOK_ALLOW", ALLOWED)
    get_settings.cache_clear()
    yield WebhookWorld(emptied)
    get_settings.cache_clear()
