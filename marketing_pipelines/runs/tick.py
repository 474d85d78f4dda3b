"""`Tick`: the subject of a job's work, and the transactions in which it writes, under its lock.

The connection that holds the lock is the one that writes: a lost connection is a lost lock, and
cannot write.
"""

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from zoneinfo import ZoneInfo

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines.failures import (
    SkippedOverlapError,
    StoreUnavailableError,
)
from marketing_pipelines.freshness import stale_partitions
from marketing_pipelines.freshness.partitions import (
    PartitionedAsset,
    Window,
    registered,
)
from marketing_pipelines.policies import DEFAULT_TIMEOUT
from marketing_pipelines.redaction import redact
from marketing_pipelines.runs import materializations, row_counts, sessions
from marketing_pipelines.runs.checks import CheckOutcome
from marketing_pipelines.runs.items import Item, ItemFailures
from marketing_pipelines.runs.tags import (
    ONLY_MARKED_TAG,
    trigger_of,
)
from marketing_pipelines.runs.timeouts import limit_server
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines.stores import locks

CHUNK_PARTITIONS = 744
Isolation = Literal["repeatable read", "read committed"]


@dataclass
class Tick:
    """The instant or partitions of a job's work, and its only way to write."""

    job: str
    instant: dt.datetime
    zone: ZoneInfo
    windows: list[Window]
    connection: sa.Connection
    session_id: int
    context: dg.AssetExecutionContext
    failures: ItemFailures
    timeout: dt.timedelta = DEFAULT_TIMEOUT
    metadata: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    done: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    cpu_before: float = field(default_factory=sessions.cpu_seconds)
    outcomes: list[CheckOutcome] = field(default_factory=list)
    skipped: str | None = None
    entered: bool = False
    shares: bool = False

    @property
    def cpu_seconds(self) -> float:
        """CPU time that the process has used since the work began."""
        return round(sessions.cpu_seconds() - self.cpu_before, 3)

    @property
    def waits(self) -> bool:
        """True if it waits for locks instead of skipping. Ranges do, and runs that marks
        request."""
        return len(self.windows) > 1 or ONLY_MARKED_TAG in self.context.run.tags

    @property
    def settings(self) -> Settings:
        """The settings of the installation."""
        return get_settings()

    @property
    def partitions(self) -> PartitionedAsset:
        """The declaration of the job's partitions."""
        return registered()[self.job]

    @property
    def next_in_run(self) -> list[str]:
        """The keys of the assets that the same run does next."""
        selected = self.context.job_def.asset_layer.selected_asset_keys
        return [
            asset.key
            for asset in registered().values()
            if asset.runs_with is self.partitions and dg.AssetKey(asset.key.split("/")) in selected
        ]

    @property
    def progress(self) -> str:
        """The sentence on the done partitions of a range; they are done from the first on."""
        done = f"{len(self.done)} of {len(self.windows)} partitions are done"
        return f"{done}: {min(self.done)} to {max(self.done)}." if self.done else f"{done}."

    @property
    def date(self) -> dt.date:
        """The tick's day in the reporting zone."""
        return self.instant.astimezone(self.zone).date()

    def chunks(self, rows_of: Mapping[str, int], *, most_rows: int) -> Iterator[list[Window]]:
        """The windows in unbroken groups small enough for one transaction, oldest first.

        Args:
            rows_of: Source rows by partition key, where they are known.
            most_rows: Source rows in one group, unless one window alone has more.
        """
        chunk: list[Window] = []
        rows = 0
        for window in self.windows:
            weight = rows_of.get(window.key, 0)
            full = len(chunk) >= CHUNK_PARTITIONS or rows + weight > most_rows
            if chunk and (full or chunk[-1].end != window.start):
                yield chunk
                chunk, rows = [], 0
            chunk.append(window)
            rows += weight
        if chunk:
            yield chunk

    def enter(self, *, shared: bool) -> None:
        """Takes the job's lock before any work, for the time of the session.

        So the next holder sees how this tick ended: a tick that two daemons fired is worked once.
        Runs of several partitions take their locks chunk by chunk instead, and wait for them.

        Args:
            shared: True if other runs of the job may work at the same time, on rows of their own.

        Raises:
            SkippedOverlapError: another run holds the lock, or this tick is done.
        """
        self.entered = True
        if shared:
            self._share()
        elif not self.windows:
            self._lock([locks.WHOLE_JOB])
            run = self.context.run
            if trigger_of(run.tags) == "schedule" and run.parent_run_id is None:
                self._skip_if_done()
        elif not self.waits:
            self._lock([self.windows[0].ordinal])

    def _share(self) -> None:
        if not self.shares:
            if not locks.try_share(self.connection, self.job):
                self._skip(locks.WHOLE_JOB)
            self.connection.commit()
            self.shares = True

    @contextlib.contextmanager
    def begin(self, *, isolation: Isolation = "repeatable read") -> Iterator[sa.Connection]:
        """One transaction under the job's lock.

        Args:
            isolation: Isolation level: one snapshot for all statements, or one for each; rows that
                others lock need the latter.
        """
        if not self.entered:
            self.enter(shared=False)
        with self._transaction(isolation):
            yield self.connection

    @contextlib.contextmanager
    def sharing(self) -> Iterator[sa.Connection]:
        """One transaction of work that runs of the job share, each locking the rows that it takes.

        At read committed, so that commits of other runs are visible and cause no conflict.
        """
        self._share()
        with self.connection.begin():
            yield self.connection

    @contextlib.contextmanager
    def extra_connection(
        self,
    ) -> Iterator[Callable[[], contextlib.AbstractContextManager[sa.Connection]]]:
        """Another connection for work that is shared, for a thread of its own.

        It shares the job's lock by itself and has the time limit of the first. Yields a function
        that begins a transaction on it, as `sharing` does.

        Raises:
            StoreUnavailableError: another run waits for the job's exclusive lock.
        """
        if not self.shares:
            raise RuntimeError(f"{self.job} has not begun to share its work.")
        with self.connection.engine.connect() as connection:
            limit_server(connection, self.timeout)
            locks.lock_extra_connection(connection, self.session_id)
            if not locks.try_share(connection, self.job):
                raise StoreUnavailableError(f"Another run waits to have {self.job} alone.")
            connection.commit()

            @contextlib.contextmanager
            def begin() -> Iterator[sa.Connection]:
                with connection.begin():
                    yield connection

            yield begin

    @contextlib.contextmanager
    def replacing(self, windows: Sequence[Window]) -> Iterator["Replacement"]:
        """One transaction that writes these partitions whole, under their locks.

        Its snapshot is taken after the locks. The work ends with `finished(rows)`, which removes
        the marks that the snapshot saw and records the partitions as done.
        """
        self.connection.rollback()
        with self._locked([w.ordinal for w in windows]):
            with self._transaction():
                seen = stale_partitions.seen(self.connection, self.job, [w.key for w in windows])
                replacement = Replacement(self.job, self.connection, list(windows), seen)
                yield replacement
                if replacement.rows_of is None:
                    raise RuntimeError(f"{self.job} did not say that its partitions are finished.")
            for action in replacement.after_commit:
                action()
        self.done |= replacement.rows_of
        self.rows += sum(replacement.rows_of.values())
        if len(self.windows) > 1:
            self.context.log.info(self.progress)

    def items(
        self, connection: sa.Connection, items: Iterable[Any], name: Callable[[Any], str] = str
    ) -> Iterator[Item]:
        """Each item in a savepoint: `for item in tick.items(…): with item as thing: …`."""
        return self.failures.attempts(connection, items, name)

    def result(self, **metadata: Any) -> dg.MaterializeResult[Any]:
        """Returns the asset's result: rows, seconds, CPU seconds, memory, its own metadata."""
        seconds = time.monotonic() - self.started
        numbers: dict[str, Any] = {
            "rows": self.rows,
            "seconds": round(seconds, 3),
            "rows_per_second": round(self.rows / seconds) if seconds > 0 else 0,
            "cpu_seconds": self.cpu_seconds,
            "peak_memory_mb": sessions.peak_memory_mb(),
            "session": self.session_id,
        }
        if self.windows:
            numbers["partitions"] = len(self.done)
        if self.skipped is not None:
            numbers["skipped_overlap"] = self.skipped
        if self.failures.ok or self.failures.failed:
            numbers |= {"items_ok": self.failures.ok, "items_failed": self.failures.failed}
        if self.failures.waiting:
            numbers["items_waiting"] = self.failures.waiting
        numbers = redact(numbers | self.metadata | metadata)
        if materializations.is_deferred(self.context.run.tags):
            materializations.report(self.context, self.done, numbers)
        return dg.MaterializeResult(metadata=numbers)

    def count_table(self) -> None:
        """Notes how many rows the asset's table holds, where it is one."""
        metadata = self.context.assets_def.metadata_by_key.get(self.context.asset_key, {})
        table = metadata.get("dagster/table_name")
        if table is not None:
            self.connection.rollback()
            rows = row_counts.of_table(self.connection, self.job, table)
            self.metadata["dagster/row_count"] = rows

    def _lock(self, ordinals: Sequence[int]) -> None:
        if self.waits:
            locks.lock_all(self.connection, self.job, ordinals)
        elif not locks.try_lock(self.connection, self.job, ordinals[0]):
            self._skip(ordinals[0])
        self.connection.commit()

    @contextlib.contextmanager
    def _locked(self, ordinals: Sequence[int]) -> Iterator[None]:
        self._lock(ordinals)
        try:
            yield
        finally:
            if not self.connection.invalidated:
                self.connection.rollback()
                locks.unlock_all(self.connection, self.job, ordinals)
                self.connection.commit()

    def _skip(self, ordinal: int) -> None:
        pid = locks.holder_pid(self.connection, self.job, ordinal)
        holder = sessions.run_of_backend(self.connection, pid)
        stale_partitions.withdraw_requests(self.connection, self.job, [w.key for w in self.windows])
        self.connection.commit()
        raise SkippedOverlapError(
            f"Run {holder or 'of a process that is just ending'} holds the lock of {self.job}"
            + (f" {self.windows[0].key}" if self.windows else "")
            + " and does the work.",
            holder,
        )

    def _skip_if_done(self) -> None:
        """The run itself counts too: two daemons may each start it before they see the other."""
        done_by = sessions.run_that_did(self.connection, self.job, self.instant)
        self.connection.commit()
        if done_by is not None:
            raise SkippedOverlapError(
                f"Run {done_by} has done {self.job} for {self.instant:%Y-%m-%d %H:%M} UTC.", done_by
            )

    @contextlib.contextmanager
    def _transaction(self, isolation: Isolation = "repeatable read") -> Iterator[None]:
        with self.connection.begin():
            self.connection.exec_driver_sql(f"set transaction isolation level {isolation}")
            yield


@dataclass
class Replacement:
    """An open transaction that replaces partitions.

    `after_commit` is done when it is committed and before the locks are free.
    """

    job: str
    connection: sa.Connection
    windows: list[Window]
    seen: list[stale_partitions.Mark]
    rows_of: dict[str, int] | None = None
    after_commit: list[Callable[[], None]] = field(default_factory=list)

    def causes(self, key: str) -> set[stale_partitions.Cause]:
        """The causes of the marks of a partition; of one without marks, that it was asked for."""
        return {mark.cause for mark in self.seen if mark.partition == key} or {"rebuild"}

    def finished(self, rows_of: Mapping[str, int], code_version: str | None = None) -> None:
        """Records the partitions as done, with the rows of each (those not named have none)."""
        stale_partitions.remove(self.connection, self.seen)
        self.rows_of = {w.key: rows_of.get(w.key, 0) for w in self.windows}
        stale_partitions.finish(self.connection, self.job, self.rows_of, code_version)
