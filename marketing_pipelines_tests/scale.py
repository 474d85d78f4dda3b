"""The size of heavy tests: short in `make test`, in full by `make soak`."""

import os

import pytest

SOAK = bool(os.environ.get("SOAK"))
# Seconds for one test that tries very many random cases.
PATIENCE = 7_200 if SOAK else 600

soak_only = pytest.mark.skipif(not SOAK, reason="too heavy for `make test`: run `make soak`")
