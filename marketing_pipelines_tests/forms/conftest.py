"""Google on loopback, and forms in its sheets."""

from collections.abc import Iterator

import pytest
import stamina

from marketing_pipelines_tests.forms.google import FormWorld, Google
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.service import service


@pytest.fixture
def google() -> Iterator[Google]:
    with service() as outside, stamina.set_testing(True, attempts=4, cap=True):
        yield Google(outside)


@pytest.fixture
def world(shared_installation: Installation, google: Google) -> FormWorld:
    return FormWorld(shared_installation, google)
