"""What the tests of messages share."""

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.delivery.world import World


@pytest.fixture
def world(pooled_engine: sa.Engine) -> World:
    """An organization with an active campaign and nobody in it."""
    return World(pooled_engine)
