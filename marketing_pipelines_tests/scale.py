"""How heavy the heavy faults are: short in `make test`, in full by `make soak`."""

import os

SOAK = bool(os.environ.get("MARKETING_SOAK"))
