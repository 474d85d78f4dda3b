"""Fixtures of the tests of messages."""

import shutil

import pytest

from marketing_pipelines_tests.delivery.world import World, outbox
from marketing_pipelines_tests.installation import Installation


@pytest.fixture
def world(emptied: Installation) -> World:
    """An organization with an active campaign and nobody in it; nothing was sent."""
    shutil.rmtree(outbox(), ignore_errors=True)
    return World(emptied.engine)
