"""The one assembler: finds what the domains define and adds the resources.

`build_defs` walks `domains/*/jobs.py`, `sensors.py` and `sources.py` and takes every Dagster object
it meets; there is no list of jobs to keep. Queues and tasks are declared on the way. A file that
cannot be imported is left out, so that it does not stop the others; `doctor` names it, and so does
an alert.
"""

import importlib.util
import inspect
import logging
import pkgutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from marketing_pipelines import domains, policies, registry
from marketing_pipelines.autoload import load_tasks
from marketing_pipelines.freshness.partitions import registered
from marketing_pipelines.jobs.resources import EventLake, Postgres
from marketing_pipelines.jobs.scheduling import partitioned_jobs
from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.observability import logs
from marketing_pipelines.registry import import_errors
from marketing_pipelines.unloaded import unloaded

# `backfill_policy` and `allow_nonexistent_upstream_partitions` are beta; the version is pinned.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

ROOMS = ("sources", "jobs", "sensors")
_logger = logging.getLogger(__name__)
_KINDS: dict[str, tuple[type, ...]] = {
    "assets": (dg.AssetsDefinition, dg.AssetSpec),
    "schedules": (dg.ScheduleDefinition,),
    "jobs": (dg.JobDefinition, UnresolvedAssetJobDefinition),
    "sensors": (dg.SensorDefinition,),
    "asset_checks": (dg.AssetChecksDefinition,),
}


def build_defs(**resource_overrides: Any) -> dg.Definitions:
    """Everything of every domain, with the real resources unless others are given.

    Raises:
        ConfigurationError: `jobs.toml` cannot be used.
    """
    logs.configure()
    policies.overrides()
    import_errors.update(load_tasks())
    found: dict[str, Any] = {kind: [] for kind in _KINDS}
    for module in _rooms():
        for value in vars(module).values():
            for kind, types in _KINDS.items():
                if isinstance(value, types) and all(value is not known for known in found[kind]):
                    found[kind].append(value)
    _name_unloaded()
    registry.fill(
        _catalogued(found["assets"]), [each.name for each in found["schedules"] + found["sensors"]]
    )
    if not import_errors:
        policies.require_known(
            {key: policies.declared(key).cron is not None for key in registry.jobs()}, registered()
        )
    return dg.Definitions(
        **found,
        resources={"postgres": Postgres(), "lake": EventLake()} | resource_overrides,
        executor=dg.in_process_executor,
    )


def _rooms() -> Iterator[ModuleType]:
    """Room by room, so that sensors find every job."""
    for room in ROOMS:
        for domain in pkgutil.iter_modules(domains.__path__, f"{domains.__name__}."):
            if not domain.ispkg:
                continue  # a module at this place is named as not loaded
            name = f"{domain.name}.{room}"
            jobs_before = len(partitioned_jobs())
            try:
                if importlib.util.find_spec(name):
                    yield importlib.import_module(name)
            except Exception as error:
                del partitioned_jobs()[jobs_before:]
                import_errors[name] = f"{type(error).__name__}: {error}"
                _logger.exception("%s cannot be imported and is left out.", name)


def _name_unloaded() -> None:
    registry.unloaded[:] = unloaded(PACKAGE / "domains", ROOMS)
    for file in registry.unloaded:
        _logger.warning(
            "domains/%s is not loaded: move its definitions into the %s.py of a domain.",
            file,
            ".py or ".join(ROOMS),
        )


def _catalogued(assets: Sequence[Any]) -> list[registry.Job]:
    jobs = []
    for asset in assets:
        if isinstance(asset, dg.AssetsDefinition):
            function: Any = asset.op.compute_fn
            code = inspect.unwrap(function.decorated_fn).__code__
            path = Path(code.co_filename)
            root = PACKAGE.parent
            file = path.relative_to(root) if path.is_relative_to(root) else path
            jobs.append(
                registry.Job(
                    key=asset.key.to_user_string(),
                    owner=", ".join(asset.owners_by_key[asset.key]),
                    file=f"{file}:{code.co_firstlineno}",
                )
            )
    return jobs


defs = build_defs()
