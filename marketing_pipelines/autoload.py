"""Imports the `tasks.py` of every domain, so that queues and tasks are declared.

A file that cannot be imported is left out, so that it does not stop the others: its tasks wait
until it can.
"""

import importlib
import importlib.util
import logging
import pkgutil

from marketing_pipelines import domains
from marketing_pipelines.queueing import tasks

_logger = logging.getLogger(__name__)


def load_tasks() -> dict[str, str]:
    """Declares what the domains declare; a second call changes nothing.

    Returns:
        Why each file that is left out cannot be imported, by module.
    """
    broken = {}
    for domain in pkgutil.iter_modules(domains.__path__):
        if not domain.ispkg:
            continue  # a module at this place is named as not loaded
        name = f"{domains.__name__}.{domain.name}.tasks"
        # Imported again, a broken file would meet what it declared the first time.
        if domain.name not in tasks.import_errors:
            _load(domain.name, name)
        if domain.name in tasks.import_errors:
            broken[name] = tasks.import_errors[domain.name]
    tasks.all_loaded.set()
    return broken


def _load(domain: str, name: str) -> None:
    try:
        if importlib.util.find_spec(name):
            importlib.import_module(name)
    except Exception as error:
        tasks.import_errors[domain] = f"{type(error).__name__}: {error}"
        _logger.exception("%s cannot be imported and is left out.", name)
