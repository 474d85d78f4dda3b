"""How heavy the heavy faults are: short in `make test`, in full by `make soak`."""

import os

SOAK = bool(os.environ.get("SOAK"))
# Seconds for one test that tries very many random cases.
PATIENCE = 7_200 if SOAK else 300
