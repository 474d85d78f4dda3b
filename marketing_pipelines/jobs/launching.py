"""Starting runs from any process: a run waits in Dagster's queue, its session is there at once.

The daemon starts the run; the run's own `tick()` takes the QUEUED session over.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.remote_origin import RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.utils import make_new_run_id
from dagster._core.workspace.load_target import WorkspaceFileTarget

from marketing_pipelines.failures import BadInputError, PermanentError
from marketing_pipelines.freshness.partitions import Window, registered
from marketing_pipelines.freshness.propagation import partition_of_tick
from marketing_pipelines.jobs.scheduling import UNDER_WAY, job_name
from marketing_pipelines.locations import WORKSPACE_FILE, configuration_file
from marketing_pipelines.runs import sessions
from marketing_pipelines.runs.tags import SESSION_TAG, TICK_TAG, TRIGGER_TAG
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import locks

PARTITION_TAG = "dagster/partition"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
REPOSITORY = "__repository__"


@dataclass(frozen=True)
class Started:
    """A run that waits for its turn.

    Attributes:
        run_id: Dagster run.
        session_id: The session that shows it.
    """

    run_id: str
    session_id: int
    partition: str | None


class AlreadyRunningError(PermanentError):
    """A run of this job, or of this partition of it, is under way and does the work."""

    def __init__(self, message: str, run_id: str | None) -> None:
        super().__init__(message)
        self.run_id = run_id


@dataclass(frozen=True)
class Launcher:
    """Puts runs of jobs into Dagster's queue.

    Attributes:
        definitions: Returns the assembled definitions, which are made after the jobs.
    """

    definitions: Callable[[], dg.Definitions]

    def launch_latest(
        self,
        job: str,
        *,
        settings: Settings,
        engine: sa.Engine,
        instance: dg.DagsterInstance,
        now: dt.datetime,
        run_id: str,
    ) -> Started:
        """Starts a job, of a partitioned one the partition that its clock was last for.

        Args:
            run_id: Number of the run, chosen before: a second call with it starts no second run.

        Raises:
            BadInputError: there is no such job, or no such partition yet.
            AlreadyRunningError: it is known to be running or to wait for its turn.
        """
        assets = {
            asset.key.to_user_string(): asset
            for asset in self.definitions().assets or ()
            if isinstance(asset, dg.AssetsDefinition)
        }
        if job not in assets:
            raise BadInputError(f"There is no job '{job}': load the route again with another name.")
        window = None
        definition = assets[job].partitions_def
        if definition is not None:
            asset = registered()[job]
            tick = asset.last_tick(now, settings.zone)
            window = partition_of_tick(asset, tick, settings.zone)
            if not definition.has_partition_key(window.key):
                raise BadInputError(f"{job} has no partition {window.key} yet.")
        return self.launch(job, window, engine=engine, instance=instance, now=now, run_id=run_id)

    def launch(
        self,
        job: str,
        window: Window | None,
        *,
        engine: sa.Engine,
        instance: dg.DagsterInstance,
        now: dt.datetime,
        run_id: str | None = None,
    ) -> Started:
        """Starts a job, or a partition of it.

        Two that ask at once may both be let through: the later run then finds the lock taken and
        ends SKIPPED_OVERLAP.

        Args:
            job: Asset key, e.g. `analytics/event_aggregates`.
            now: The instant of the request; it becomes the session's tick.
            run_id: As of `launch_latest`; None: a new one.

        Raises:
            AlreadyRunningError: it is known to be running or to wait for its turn.
        """
        key = window.key if window else None
        session_id = None
        if run_id is not None:
            with engine.begin() as connection:
                session_id = sessions.session_of_run(connection, run_id)
        if session_id is None:
            with engine.begin() as connection:
                _refuse_if_working(connection, job, window)
            _refuse_if_under_way(instance, job, key)
            run_id = run_id or make_new_run_id()
            with engine.begin() as connection:
                session_id = sessions.queue_session(
                    connection, job=job, trigger="api", tick=now, partition=key, run_id=run_id
                )
        assert run_id is not None
        tags = {TRIGGER_TAG: "api", TICK_TAG: now.isoformat(), SESSION_TAG: str(session_id)}
        if key is not None:
            tags[PARTITION_TAG] = key
        run = instance.get_run_by_id(run_id) or self._create(instance, job, run_id, tags)
        if run.status == dg.DagsterRunStatus.NOT_STARTED:
            # The queue asks nothing of the workspace: the daemon loads the code from its origin.
            instance.submit_run(run.run_id, workspace=None)  # type: ignore[arg-type]
        return Started(run_id, session_id, key)

    def _create(
        self, instance: dg.DagsterInstance, job: str, run_id: str, tags: dict[str, str]
    ) -> dg.DagsterRun:
        options: dict[str, Any] = {}
        defs = self.definitions()
        own_job = job_name(job)
        if defs.get_repository_def().has_job(own_job):
            definition = defs.resolve_job_def(own_job)
        else:
            definition = defs.resolve_implicit_global_asset_job_def()
            options["asset_selection"] = {dg.AssetKey(job.split("/"))}
        return instance.create_run_for_job(
            definition,
            run_id=run_id,
            status=dg.DagsterRunStatus.NOT_STARTED,
            tags={**definition.run_tags, **tags},
            remote_job_origin=_remote_origin(definition.name),
            job_code_origin=ReconstructableRepository.for_module(
                "marketing_pipelines.definitions", "defs"
            )
            .get_reconstructable_job(definition.name)
            .get_python_origin(),
            **options,
        )


def _refuse_if_working(connection: sa.Connection, job: str, window: Window | None) -> None:
    """Refuses what a session works on or waits for; a session whose process is gone does not."""
    ordinal = window.ordinal if window else locks.WHOLE_JOB
    pid = locks.holder_pid(connection, job, ordinal)
    key = window.key if window else None
    if pid is not None:
        raise _already_running(job, key, sessions.run_of_backend(connection, pid))
    sessions.close_abandoned(connection)
    session = sessions.under_way(connection, job, key)
    if session is not None:
        raise _already_running(job, key, session.run_id)


def _refuse_if_under_way(instance: dg.DagsterInstance, job: str, key: str | None) -> None:
    """Refuses the work of a run that has not opened a session yet."""
    asset = dg.AssetKey(job.split("/"))
    for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)):
        does_it = run.job_name == job_name(job) or asset in (run.asset_selection or ())
        if does_it and _covers(run, key):
            raise _already_running(job, key, run.run_id)


def _covers(run: dg.DagsterRun, key: str | None) -> bool:
    if key is None:
        return True
    first, last = (run.tags.get(tag, run.tags.get(PARTITION_TAG, "")) for tag in RANGE_TAGS)
    return first <= key <= last


def _already_running(job: str, key: str | None, run_id: str | None) -> AlreadyRunningError:
    what = f"{job} {key}" if key else job
    who = f"run {run_id}" if run_id else "a process that is just ending"
    return AlreadyRunningError(f"{what} is already under way: {who} does the work.", run_id)


def _remote_origin(name: str) -> RemoteJobOrigin:
    """Returns the place of the job in the daemon's code server, as `workspace.yaml` says."""
    [location] = WorkspaceFileTarget([str(configuration_file(WORKSPACE_FILE))]).create_origins()
    return RemoteRepositoryOrigin(location, REPOSITORY).get_job_origin(name)
