"""Fixtures of exports."""

import pytest

from marketing_pipelines_tests.exports.exporting import Exporter
from marketing_pipelines_tests.installation import Installation


@pytest.fixture
def exporter(emptied: Installation) -> Exporter:
    """An organization alone in its database."""
    return Exporter(emptied)
