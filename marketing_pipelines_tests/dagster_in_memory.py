"""Dagster's storage in memory, over connections that stay.

Dagster's own opens one for each statement, and asks each time which columns its tables have: for
the event of a materialization, which every partition has, that took half of the time.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import sqlalchemy as sa
from dagster._core.instance.types import InstanceType
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.event_log import InMemoryEventLogStorage
from dagster._core.storage.event_log.schema import AssetKeyTable
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import TemporaryLocalArtifactStorage
from dagster._core.storage.runs import InMemoryRunStorage


def new_instance() -> dg.DagsterInstance:
    """What `DagsterInstance.ephemeral` makes, with these storages."""
    return dg.DagsterInstance(
        instance_type=InstanceType.EPHEMERAL,
        local_artifact_storage=TemporaryLocalArtifactStorage(),
        run_storage=_Runs(),
        event_storage=_Events(),
        compute_log_manager=NoOpComputeLogManager(),
        run_coordinator=DefaultRunCoordinator(),
        run_launcher=SyncInMemoryRunLauncher(),
        settings={"python_logs": {"python_log_level": "CRITICAL"}},
    )


class _Runs(InMemoryRunStorage):
    def __init__(self) -> None:
        super().__init__()
        self._kept = _keeping(self._engine.url)

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        with self._kept.begin() as connection:
            yield connection

    def dispose(self) -> None:
        self._kept.dispose()
        super().dispose()


class _Events(InMemoryEventLogStorage):
    def __init__(self) -> None:
        super().__init__()
        self._kept = _keeping(self._engine.url)

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        with self._db_lock, self._kept.begin() as connection:
            yield connection

    def _has_asset_key_col_on_connection(self, conn: sa.Connection, column_name: str) -> bool:
        return column_name in AssetKeyTable.columns

    def dispose(self) -> None:
        self._kept.dispose()
        super().dispose()


def _keeping(url: sa.URL) -> sa.Engine:
    # One thread after the other may use a connection.
    threads = {"check_same_thread": False}
    return sa.create_engine(url, poolclass=sa.QueuePool, max_overflow=-1, connect_args=threads)
