"""The definitions of all tests, with the partitions of one year.

Each run of a job without partitions lists those of the assets that it reads: since 2015, the
default, these are 100,000 hours and seconds of a processor. `make soak` keeps the default.

The definitions are imported here, so this module comes before all others that import them.
"""

import importlib
import sys

import pytest

from marketing_pipelines.settings import EARLIEST_DAY, get_settings
from marketing_pipelines_tests.scale import SOAK

FIRST_DAY = str(EARLIEST_DAY) if SOAK else "2026-01-01"
_DEFINITIONS = "marketing_pipelines.definitions"

with pytest.MonkeyPatch.context() as patch:
    assert _DEFINITIONS not in sys.modules, "the definitions are imported elsewhere before"
    patch.setenv("MARKETING_FIRST_DAY", FIRST_DAY)
    get_settings.cache_clear()
    importlib.import_module(_DEFINITIONS)
    get_settings.cache_clear()
