"""The one assembler: finds what the domains define and adds the resources.

`build_defs` walks `domains/*/jobs.py`, `sensors.py` and `sources.py` and takes every Dagster object
it meets; there is no list of jobs to keep.
"""

import importlib
import pkgutil
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg

from marketing_pipelines import domains
from marketing_pipelines.resources import EventLake, Postgres

# `backfill_policy` and `allow_nonexistent_upstream_partitions` are beta; the version is pinned.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

ROOMS = ("sources", "jobs", "sensors")
_KINDS: dict[str, tuple[type, ...]] = {
    "assets": (dg.AssetsDefinition, dg.AssetSpec),
    "schedules": (dg.ScheduleDefinition,),
    "sensors": (dg.SensorDefinition,),
    "asset_checks": (dg.AssetChecksDefinition,),
}


def build_defs(**resource_overrides: Any) -> dg.Definitions:
    """Everything of every domain, with the real resources unless others are given."""
    found: dict[str, Any] = {kind: [] for kind in _KINDS}
    for module in _rooms():
        for value in vars(module).values():
            for kind, types in _KINDS.items():
                if isinstance(value, types) and all(value is not known for known in found[kind]):
                    found[kind].append(value)
    return dg.Definitions(
        **found,
        resources={"postgres": Postgres(), "lake": EventLake()} | resource_overrides,
        executor=dg.in_process_executor,
    )


def _rooms() -> list[ModuleType]:
    """Room by room, so that sensors find every job."""
    names = [
        f"{domains.__name__}.{domain.name}.{room}"
        for room in ROOMS
        for domain in pkgutil.iter_modules(domains.__path__)
        if (Path(domains.__path__[0]) / domain.name / f"{room}.py").exists()
    ]
    return [importlib.import_module(name) for name in names]


defs = build_defs()
