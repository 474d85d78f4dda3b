"""Fixtures of exports."""

import pytest

from marketing_pipelines.stores.files import FileStore
from marketing_pipelines_tests.exports.exporting import Exporter
from marketing_pipelines_tests.installation import Installation


@pytest.fixture
def exporter(emptied: Installation) -> Exporter:
    """An organization alone in its database, without files of exports."""
    FileStore(emptied.settings.effective_files_url).clear("exports")
    return Exporter(emptied)
