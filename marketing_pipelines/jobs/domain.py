"""The declaration of a job: a function of a tick becomes an asset with its schedule.

```python
SUPPORT = Domain("support", owner=Team.PLATFORM)

@SUPPORT.job(cron="0 6 * * *", deps=[contacts])
def unreachable_contacts(tick: Tick) -> None:
    \"\"\"Counts the contacts without an e-mail address.\"\"\"
    with tick.begin() as connection:
        tick.rows = count_unreachable(connection)
```

The decorator returns the Dagster asset. Key, group, owner, checks, freshness policy, code
reference, description, run tags and column schema derive from the declaration; job and schedule
are built from it once all domains are loaded (`jobs.scheduling`).
"""

import datetime as dt
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import sqlalchemy as sa
from croniter import croniter

from marketing_pipelines import policies, registry
from marketing_pipelines.freshness import partitions as freshness
from marketing_pipelines.freshness.partitions import Grain, PartitionedAsset
from marketing_pipelines.jobs import metadata
from marketing_pipelines.jobs.partitions import definition_of, over
from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.policies import (
    ALL_ENVIRONMENTS,
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT,
    CatchUp,
    Policy,
)
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.checks import Check

# `backfill_policy`, code references and `allow_nonexistent_upstream_partitions` are beta; the
# version is pinned.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

DEFAULT_SKIP_AFTER = dt.timedelta(hours=1)
# The ticks among which the longest gap of a cron is looked for: a year of a monthly one.
GAPS_LOOKED_AT = 60
MIN_GRACE = dt.timedelta(hours=2)
MAX_GRACE = dt.timedelta(days=2)


@dataclass(frozen=True)
class Declaration:
    """One declared job, for `jobs.scheduling`.

    Attributes:
        partitions: Its partitions; None where it has none.
        skip_after: The age at which a missed tick is left out, where missed ticks are skipped.
        by_sensor: True if a sensor starts its job, which has no schedule.
    """

    asset: dg.AssetsDefinition
    policy: Policy
    partitions: PartitionedAsset | None
    skip_after: dt.timedelta
    owner: str
    module: str
    by_sensor: bool = False

    @cached_property
    def key(self) -> str:
        """Asset key, e.g. `analytics/hourly_events`."""
        return self.asset.key.to_user_string()

    @property
    def runs_with(self) -> str | None:
        """The key of the job that does this asset, where it has no job of its own."""
        first = self.partitions.runs_with if self.partitions else None
        return first.key if first else None


DECLARATIONS: dict[str, Declaration] = {}


@dataclass(frozen=True)
class Domain:
    """A business domain, which declares jobs.

    Attributes:
        name: The first part of its asset keys, and their group.
        owner: The team that its failures are sent to.
    """

    name: str
    owner: Team

    def job(
        self,
        *,
        cron: str | None = None,
        deps: Sequence[Any] = (),
        kinds: set[str] | None = None,
        table: sa.Table | None = None,
        partitions: Grain | None = None,
        running: bool = False,
        runs_with: dg.AssetsDefinition | None = None,
        shared: bool = False,
        items: bool = False,
        checks: Sequence[Check] = (),
        catch_up: CatchUp | None = None,
        automation: dg.AutomationCondition[Any] | None = None,
        by_sensor: bool = False,
        skip_after: dt.timedelta = DEFAULT_SKIP_AFTER,
        timeout: dt.timedelta = DEFAULT_TIMEOUT,
        retries: Sequence[float] = DEFAULT_RETRIES,
        memory_mb: int | None = None,
        alert: bool = True,
        environments: Sequence[str] = ALL_ENVIRONMENTS,
        needs: str | None = None,
    ) -> Callable[[Callable[..., None]], dg.AssetsDefinition]:
        """Declares a job: a function of a `Tick`, and of resources named by its other parameters.

        The function runs inside an open tick that holds the job's lock; a run that finds the lock
        taken ends as `SKIPPED_OVERLAP` and never calls it. `jobs.toml` may change the policy
        (`cron`, `catch_up`, `timeout`, `retries`, `memory_mb`, `alert`, `environments`).

        Args:
            cron: Five fields, in the reporting zone; crons of every hour fire in UTC. None: the
                job has no schedule of its own.
            deps: The assets that it reads; finer partitions are mapped to its own.
            kinds: Icons in the Dagster UI, `postgres` unless given.
            table: The table that it writes, for the column schema of the asset's page.
            partitions: `hour`, `day` or `month`; its ticks then mark what is due and run the
                tick's own partition as soon as its upstream partitions are done.
            running: True if the partition in progress is computed too.
            runs_with: The asset of the same partitions whose job does this one next.
            shared: True if several runs may work at once, each on the rows that it locks.
            items: True if it works through `tick.items`; it then has a check that warns of
                failing items.
            checks: The checks whose outcomes it adds to `tick.outcomes`.
            catch_up: Missed ticks: `all`, one run for all of them (`once`) or `skip`. Partitions
                always catch up `all`; other jobs `once` unless given.
            automation: The condition that runs it, for an asset without a schedule.
            by_sensor: True if a sensor starts it: it has a job, and no schedule.
            skip_after: The age at which a missed tick is left out, with `skip`.
            timeout: The time after which an attempt is stopped.
            retries: Seconds before each retry: listed, `policies.fixed(…)` or
                `policies.exponential(…)`.
            memory_mb: Largest resident memory of a run, MB; DuckDB is limited to four fifths of
                it. None: no limit.
            alert: True if its owner is alerted of failures.
            environments: The environments in which its schedule is on.
            needs: The setting without which its schedule is off, such as `backup_url`.
        """

        def declare(function: Callable[..., None]) -> dg.AssetsDefinition:
            key = f"{self.name}/{function.__name__}"
            own_cron = cron
            partitioned = None
            if partitions is not None:
                first = freshness.registered()[_key(runs_with)] if runs_with else None
                own_cron = first.cron if first else cron
                partitioned = PartitionedAsset(
                    key,
                    partitions,
                    cron=policies.five_fields(str(own_cron)),
                    reads=tuple(_partitioned(deps)),
                    running=running,
                    runs_with=first,
                )
            policy = policies.declare(
                key,
                Policy(
                    cron=policies.five_fields(cron) if cron else None,
                    catch_up=catch_up or ("all" if partitioned else "once"),
                    timeout=timeout,
                    retries=tuple(retries),
                    memory_mb=memory_mb,
                    alert=alert,
                    environments=tuple(environments),
                    needs=needs,
                ),
            )
            file, line = source_of(function)
            asset = _asset(
                function,
                key=key,
                checks=checks,
                items=items,
                shared=shared,
                group_name=self.name,
                owners=[self.owner.value],
                deps=[_mapped(dep, partitions) for dep in deps] if partitions else list(deps),
                kinds=kinds or {"postgres"},
                metadata=metadata.code_reference(file, line)
                | (metadata.column_descriptions(table) if table is not None else {}),
                partitions_def=definition_of(partitions) if partitions else None,
                backfill_policy=dg.BackfillPolicy.single_run() if partitions else None,
                freshness_policy=_freshness(own_cron) if policy.is_on and own_cron else None,
                automation_condition=automation,
            )
            registry.add(registry.Job(key, self.owner.value, f"{file}:{line}", function.__module__))
            DECLARATIONS[key] = Declaration(
                asset,
                policy,
                partitioned,
                skip_after,
                self.owner.value,
                function.__module__,
                by_sensor,
            )
            return asset

        return declare


def _asset(
    function: Callable[..., None],
    *,
    key: str,
    checks: Sequence[Check],
    items: bool,
    shared: bool,
    **options: Any,
) -> dg.AssetsDefinition:
    """The Dagster asset around the function."""
    resources = list(inspect.signature(function).parameters)[1:]
    every = [*checks, metadata.EVERY_ITEM_DONE] if items else list(checks)

    decorate: Callable[..., dg.AssetsDefinition] = dg.asset(
        key=key.split("/"),
        description=inspect.getdoc(function),
        check_specs=[metadata.check_spec(key, check) for check in every],
        required_resource_keys={"postgres", *resources},
        # A run that finds another at work has made nothing.
        output_required=False,
        **options,
    )

    def compute(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        with context.resources.postgres.tick(context) as tick:
            tick.enter(shared=shared)
            function(tick, **{name: getattr(context.resources, name) for name in resources})
        yield from metadata.results(tick, every)

    return decorate(compute)


def partitions_of(asset: dg.AssetsDefinition) -> PartitionedAsset:
    """The partitions of a declared asset."""
    return freshness.registered()[_key(asset)]


def remove_module(module: str) -> None:
    """Removes the declarations that a module made before its import failed."""
    registry.remove_module(module)
    for key in [one.key for one in DECLARATIONS.values() if one.module == module]:
        del DECLARATIONS[key]
        freshness.registered().pop(key, None)


def register_plain_assets(module: ModuleType) -> None:
    """Registers the assets of a module that are written in plain Dagster, without a declaration."""
    for asset in vars(module).values():
        if isinstance(asset, dg.AssetsDefinition) and _key(asset) not in registry.registered():
            compute: Any = asset.op.compute_fn
            file, line = source_of(inspect.unwrap(compute.decorated_fn))
            owners = ", ".join(asset.owners_by_key[asset.key])
            registry.add(registry.Job(_key(asset), owners, f"{file}:{line}", module.__name__))


def source(table: sa.Table | str, description: str) -> dg.AssetSpec:
    """A table that jobs read and others write, as an external asset: lineage reaches back to it.

    Args:
        table: The table; its name alone where this project does not declare it.
        description: One sentence about its rows.
    """
    columns: dict[str, Any] = {}
    if isinstance(table, sa.Table):
        columns = metadata.column_descriptions(table)
        description = f"`{table.fullname}`: {description}"
        table = table.name
    return dg.AssetSpec(
        ["sources", table],
        description=description,
        group_name="sources",
        owners=[Team.PLATFORM.value],
        kinds={"postgres", "table"},
        metadata=columns,
    )


def _key(asset: Any) -> str:
    key = asset if isinstance(asset, dg.AssetKey) else asset.key
    return str(key.to_user_string())


def _partitioned(deps: Sequence[Any]) -> Iterator[PartitionedAsset]:
    for dep in deps:
        asset = freshness.registered().get(_key(dep))
        if asset is not None:
            yield asset


def _mapped(dep: Any, grain: Grain) -> Any:
    """The dependency, over all finer partitions where it has any."""
    asset = freshness.registered().get(_key(dep))
    return dep if asset is None or asset.grain == grain else over(dep)


@cache
def _freshness(cron: str) -> dg.FreshnessPolicy:
    """Overdue after the cron's longest gap and a quarter of it more, at least two hours."""
    ticks = croniter(cron, dt.datetime(2026, 1, 1))
    instants = [ticks.get_next(dt.datetime) for _ in range(GAPS_LOOKED_AT)]
    gap = max(after - before for before, after in pairwise(instants))
    fail = gap + min(max(gap / 4, MIN_GRACE), MAX_GRACE)
    return dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=fail * 2 / 3)


def source_of(function: Callable[..., Any]) -> tuple[str, int]:
    """The file of a function, below the project's root where it lies there, and its line."""
    code = function.__code__
    path, root = Path(code.co_filename), PACKAGE.parent
    return str(path.relative_to(root) if path.is_relative_to(root) else path), code.co_firstlineno
