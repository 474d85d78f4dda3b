"""A service, and retries without their pauses."""

from collections.abc import Iterator

import pytest
import stamina

from marketing_pipelines_tests.integrations.service import Service, service


@pytest.fixture
def outside() -> Iterator[Service]:
    """A service on loopback that answers `{}` to everything."""
    with service() as serving:
        yield serving


@pytest.fixture(autouse=True)
def without_pauses() -> Iterator[None]:
    """Attempts follow each other at once."""
    with stamina.set_testing(True, attempts=4, cap=True):
        yield
