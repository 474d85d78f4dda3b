"""The kinds of entity files, which the domains declare in their `load.py`."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from functools import cache

from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.stores.kinds import Kind


@cache
def kinds() -> Mapping[str, Kind]:
    """Returns every declared kind by its name, in alphabetical order.

    Raises:
        RuntimeError: two domains declare a kind of one name.
    """
    found: dict[str, Kind] = {}
    # Imported by name: domains stand above this package, and some of them load rows.
    domains = importlib.import_module(f"{PACKAGE.name}.domains")
    for domain in pkgutil.iter_modules(domains.__path__, f"{domains.__name__}."):
        name = f"{domain.name}.load"
        if domain.ispkg and importlib.util.find_spec(name):
            for kind in importlib.import_module(name).KINDS:
                if kind.name in found:
                    raise RuntimeError(f"{name} declares {kind.name}, which another domain does.")
                found[kind.name] = kind
    return dict(sorted(found.items()))
