"""The business domains, one folder each, and the functions that load them.

Loading a domain imports its files; its tasks and jobs are declared on the way, so there is no list
to keep. A file that cannot be imported is left out, so that it does not stop the others: `doctor`
and an alert name it. Importing this package loads nothing.
"""

import gc
import importlib
import importlib.util
import logging
import pkgutil
from collections.abc import Iterator
from functools import cache
from types import ModuleType

from marketing_pipelines import installation_settings, policies, registry
from marketing_pipelines.freshness import partitions
from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.queueing import queues, tasks
from marketing_pipelines.registry import import_errors
from marketing_pipelines.stores import retention_rules
from marketing_pipelines.unloaded import unloaded

JOB_FILES = ("sources", "jobs", "sensors")
_logger = logging.getLogger(__name__)


def load_tasks() -> dict[str, str]:
    """Imports the `tasks.py` of every domain, so that queues and tasks are declared.

    The tasks of a file that cannot be imported wait until it can. A second call changes nothing.

    Returns:
        The reason why each file that is left out cannot be imported, by module.
    """
    broken = {}
    for domain in pkgutil.iter_modules(__path__):
        if not domain.ispkg:
            continue  # a module at this place is named as not loaded
        name = f"{__name__}.{domain.name}.tasks"
        # Imported again, a broken file would meet its own declarations of the first time.
        if domain.name not in tasks.import_errors:
            _load_tasks(domain.name, name)
        if domain.name in tasks.import_errors:
            broken[name] = tasks.import_errors[domain.name]
    return broken


@cache
def load_events() -> None:
    """Imports the `events.py` of every domain, so that the types of bus events are declared."""
    for domain in pkgutil.iter_modules(__path__, f"{__name__}."):
        if domain.ispkg and importlib.util.find_spec(f"{domain.name}.events"):
            importlib.import_module(f"{domain.name}.events")


@cache
def load_tables() -> None:
    """Imports the `tables.py` of every domain, so that tables and kinds of program are declared."""
    for domain in pkgutil.iter_modules(__path__, f"{__name__}."):
        if domain.ispkg and importlib.util.find_spec(f"{domain.name}.tables"):
            importlib.import_module(f"{domain.name}.tables")


@cache
def load_jobs() -> tuple[ModuleType, ...]:
    """Imports the files of every domain that hold Dagster objects: jobs before sensors.

    Returns:
        The modules; the reason why each other file cannot be imported is in
        `registry.import_errors`.

    Raises:
        ConfigurationError: `jobs.toml` names an unknown job, or cannot be used.
    """
    # Modules stay as long as the process. While the domains are imported, the collector would walk
    # through those of Dagster several times, which takes a fifth of the whole start.
    gc.freeze()
    policies.overrides()
    installation_settings.validate()
    import_errors.update(load_tasks())
    from marketing_pipelines.jobs.scheduling import instigators_of

    modules = tuple(_job_files())
    registry.instigators.update(instigators_of(modules))
    _name_unloaded()
    if not import_errors:
        scheduled = {key: job.policy.cron is not None for key, job in registry.jobs().items()}
        policies.require_known(scheduled, partitions.registered())
        policies.require_known_queues(queues.declared())
        retention_rules.require_known()
    return modules


def _job_files() -> Iterator[ModuleType]:
    from marketing_pipelines.jobs import domain as declarations

    for file in JOB_FILES:
        for domain in pkgutil.iter_modules(__path__, f"{__name__}."):
            if not domain.ispkg:
                continue  # a module at this place is named as not loaded
            name = f"{domain.name}.{file}"
            try:
                if importlib.util.find_spec(name):
                    module = importlib.import_module(name)
                    declarations.register_plain_assets(module)
                    yield module
            except Exception as error:
                declarations.remove_module(name)
                import_errors[name] = f"{type(error).__name__}: {error}"
                _logger.exception("%s cannot be imported and is left out.", name)


def _name_unloaded() -> None:
    registry.unloaded[:] = unloaded(PACKAGE / "domains", JOB_FILES)
    for file in registry.unloaded:
        _logger.warning(
            "domains/%s is not loaded: move its definitions into the %s.py of a domain.",
            file,
            ".py or ".join(JOB_FILES),
        )


def _load_tasks(domain: str, name: str) -> None:
    try:
        if importlib.util.find_spec(name):
            importlib.import_module(name)
    except Exception as error:
        tasks.import_errors[domain] = f"{type(error).__name__}: {error}"
        _logger.exception("%s cannot be imported and is left out.", name)
