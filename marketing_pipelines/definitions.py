"""The one assembler: collects the definitions of the domains and adds the resources.

`build_defs` takes every job that the domains declare, with its schedule, and every other Dagster
object in their `sources.py`, `jobs.py` and `sensors.py`.
"""

from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from marketing_pipelines.domains import load_jobs
from marketing_pipelines.jobs.launching import Launcher
from marketing_pipelines.jobs.resources import EventLake, Postgres
from marketing_pipelines.jobs.scheduling import jobs_and_schedules
from marketing_pipelines.observability import logs

_KINDS: dict[str, tuple[type, ...]] = {
    "assets": (dg.AssetsDefinition, dg.AssetSpec),
    "schedules": (dg.ScheduleDefinition,),
    "jobs": (dg.JobDefinition, UnresolvedAssetJobDefinition),
    "sensors": (dg.SensorDefinition,),
    "asset_checks": (dg.AssetChecksDefinition,),
}


def _assembled() -> dg.Definitions:
    return defs


LAUNCHER = Launcher(_assembled)


def build_defs(**resource_overrides: Any) -> dg.Definitions:
    """Everything of every domain, with the real resources unless others are given.

    Raises:
        ConfigurationError: `jobs.toml` cannot be used.
    """
    logs.configure()
    modules = load_jobs()
    found: dict[str, Any] = {kind: [] for kind in _KINDS}
    found["jobs"], found["schedules"] = jobs_and_schedules()
    for module in modules:
        for value in vars(module).values():
            for kind, types in _KINDS.items():
                if isinstance(value, types) and all(value is not known for known in found[kind]):
                    found[kind].append(value)
    return dg.Definitions(
        **found,
        resources={"postgres": Postgres(), "lake": EventLake(), "launcher": LAUNCHER}
        | resource_overrides,
        executor=dg.in_process_executor,
    )


defs = build_defs()
