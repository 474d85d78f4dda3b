"""A worker process: Procrastinate's loop for each queue, around our fetching and settling.

Procrastinate keeps the worker's heartbeat, listens for new tasks, and bounds the number of active
ones. Each task runs in a thread of its own; its row is settled in that thread, by `executor`.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import procrastinate
import sqlalchemy as sa
from procrastinate import connector as procrastinate_connector
from procrastinate import exceptions
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.worker import Worker

from marketing_pipelines.queueing import counts, outcomes, queues, tasks
from marketing_pipelines.queueing.executor import Attempt, describe, out_of_time
from marketing_pipelines.queueing.outcomes import Claim
from marketing_pipelines.queueing.queues import Queue
from marketing_pipelines.stores.postgres import libpq_uri
from marketing_pipelines.stores.session_settings import prepare_async

HEARTBEAT = 5.0
# Longer than a machine that is merely busy keeps a heartbeat waiting.
SILENT_FOR = dt.timedelta(seconds=20)
HOUSEKEEPING = 5.0
# A notification that arrives while a fetch is under way is lost to Procrastinate's loop.
POLL = 1.0
GRACE = 5.0
# After its time a task has this long to end; then only the end of the process stops it.
PATIENCE = 10.0
MIN_MARGIN, MAX_MARGIN = 0.05, 3.2
RECONNECT_AFTER = 1.0
_ATTEMPT = "attempt"
_FETCH = """
    select (fetched.task).*, fetched.wait_seconds
    from ops.fetch_task(%(queue)s, %(worker_id)s, %(per_second)s, %(margin)s) as fetched
"""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Share:
    """The part of a queue that this process takes: tasks at once, and starts per second. The latter
    is a limit over all workers."""

    queue: Queue
    concurrency: int
    per_second: int | None


@dataclass
class Process:
    """One worker process, until it is stopped or, if it drains, nothing is due."""

    engine: sa.Engine
    shares: Sequence[Share]
    drain: bool = False
    grace: float = GRACE
    greeting: str = ""
    clock: tasks.Clock = tasks.system_clock
    exit_code: int = field(default=0, init=False)
    stuck: bool = field(default=False, init=False)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    # The same for the threads of tasks.
    _stops: threading.Event = field(default_factory=threading.Event, init=False)

    def run(self) -> None:
        """Works.

        If it is `stuck` afterwards, a task that was given back still runs in a thread: nothing but
        the end of the process stops it.
        """
        slots = sum(share.concurrency for share in self.shares)
        self._threads = ThreadPoolExecutor(slots + 2, thread_name_prefix="task")
        asyncio.run(self._work())
        self._threads.shutdown(wait=not self.stuck)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        # Only now a signal ends it in order.
        print(self.greeting, flush=True)
        connector = _Connector(
            conninfo=libpq_uri(self.engine.url),
            kwargs={"application_name": "marketing-pipelines worker"},
            configure=prepare_async,
            min_size=1,
            max_size=len(self.shares) + 2,
        )
        app = procrastinate.App(connector=connector)
        async with app.open_async():
            helpers = [self._keep_house()]
            if self.drain:
                helpers.append(self._stop_when_drained())
            side_tasks = [asyncio.create_task(helper) for helper in helpers]
            await asyncio.gather(*(self._serve(share, connector) for share in self.shares))
            for side_task in side_tasks:
                side_task.cancel()

    async def _serve(self, share: Share, connector: procrastinate.PsycopgConnector) -> None:
        """Works on one queue; after a lost connection as a new worker."""
        app = procrastinate.App(connector=connector)
        worker = Worker(
            app,
            queues=[share.queue.name],
            name=share.queue.name,
            concurrency=share.concurrency,
            fetch_job_polling_interval=POLL,
            shutdown_graceful_timeout=self.grace,
            install_signal_handlers=False,
            update_heartbeat_interval=HEARTBEAT,
            stalled_worker_timeout=SILENT_FOR.total_seconds(),
        )
        fetching = _Fetching(connector, share, worker)
        app.job_manager = fetching

        @app.task(name=_ATTEMPT, pass_context=True)
        async def attempt(context: procrastinate.JobContext, /, **fetched: Any) -> None:
            await self._attempt(share, fetching, context.job, **fetched)

        stop = asyncio.create_task(self._stop_with_us(worker))
        while not self._stopping.is_set():
            try:
                await worker.run()
            except exceptions.ConnectorException as error:
                _logger.warning("%s: %s", share.queue.name, error.__cause__ or error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RECONNECT_AFTER)
        stop.cancel()

    def _stop(self) -> None:
        self._stops.set()
        self._stopping.set()

    async def _stop_with_us(self, worker: Worker) -> None:
        await self._stopping.wait()
        worker.stop()

    async def _attempt(
        self,
        share: Share,
        fetching: "_Fetching",
        job: Job,
        *,
        task: str,
        payload: dict[str, Any],
        start_by: float | None,
    ) -> None:
        assert job.id is not None
        assert job.worker_id is not None
        attempt = Attempt(
            Claim(job.id, job.worker_id),
            share.queue,
            task,
            payload,
            job.attempts,
            self.engine,
            self._stops,
            start_by,
            self.clock,
        )
        known = tasks.declared().get(task)
        own = known.timeout if known else tasks.DEFAULT_TIMEOUT
        limit = (share.queue.timeout or own).total_seconds()
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._threads, attempt.perform)
        try:
            await asyncio.wait([done], timeout=limit)
            if not done.done():
                attempt.interrupt()
                await asyncio.wait([done], timeout=PATIENCE)
        except asyncio.CancelledError:
            # The grace is over. Its thread runs until this process ends, but cannot settle it.
            self.stuck = True
            if not self._stopping.is_set():
                self._end(attempt, "is not done and its database is lost")
            await asyncio.to_thread(attempt.release, 1.0)
            raise
        if not done.done():
            self.stuck = True
            self._end(attempt, "does not stop")
            await asyncio.to_thread(attempt.settle_failure, out_of_time(limit, task))
        elif done.exception() is not None:
            # Its row still names this worker; another takes it when this worker is gone.
            self._end(attempt, f"cannot be settled ({done.exception()})")
        fetching.learn(late=attempt.started_late)

    def _end(self, attempt: Attempt, why: str) -> None:
        _logger.error("%s %s: the worker ends.", attempt, why)
        self.exit_code = 1
        self._stop()

    async def _keep_house(self) -> None:
        """Takes tasks from workers that are gone; any of the processes may do so."""
        while True:
            try:
                given_back, buried = await asyncio.to_thread(self._take_from_the_dead)
            except sa.exc.SQLAlchemyError as error:
                _logger.warning("Looking for lost tasks failed: %s", describe(error).error)
            else:
                if given_back or buried:
                    _logger.warning(
                        "%d tasks of workers that are gone are due again, %d are dead letters.",
                        given_back,
                        buried,
                    )
            await asyncio.sleep(HOUSEKEEPING)

    def _take_from_the_dead(self) -> tuple[int, int]:
        attempts_of = {name: queue.retry.attempts for name, queue in queues.declared().items()}
        with self.engine.begin() as connection:
            return outcomes.rescue_stalled(
                connection, silent_for=SILENT_FOR, attempts_of=attempts_of
            )

    async def _stop_when_drained(self) -> None:
        names = [share.queue.name for share in self.shares]

        def is_due() -> bool:
            with self.engine.begin() as connection:
                return counts.any_due(connection, names)

        while True:
            try:
                if not await asyncio.to_thread(is_due):
                    break
            except sa.exc.SQLAlchemyError as error:
                _logger.warning("Looking for due tasks failed: %s", describe(error).error)
            await asyncio.sleep(0.2)
        self._stop()


class _Connector(procrastinate.PsycopgConnector):
    """Procrastinate's connector; it goes on listening when the server is back."""

    async def listen_notify(
        self, on_notification: procrastinate_connector.Notify, channels: Iterable[str]
    ) -> None:
        names = list(channels)
        while True:
            with contextlib.suppress(exceptions.ConnectorException):
                await super().listen_notify(on_notification, names)
            await asyncio.sleep(RECONNECT_AFTER)


class _Fetching(JobManager):
    """Procrastinate's job manager with our fetching; settling is not its business.

    A server that is gone for a while ends none of the other loops: Procrastinate notices the end
    of one only when a worker stops. A worker that has to start again notices it when it fetches.
    """

    def __init__(
        self, connector: procrastinate.PsycopgConnector, share: Share, worker: Worker
    ) -> None:
        super().__init__(connector)
        self._share = share
        self._worker = worker
        self._margin = MIN_MARGIN

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """The next task of the queue, wrapped as an attempt; also sets when to ask again."""
        asked_at = time.monotonic()
        try:
            row = await self.connector.execute_query_one_async(
                query=_FETCH,
                queue=self._share.queue.name,
                worker_id=worker_id,
                per_second=self._share.per_second,
                margin=self._margin,
            )
        except exceptions.UniqueViolation:
            # Another worker took a task with the same lock in the same moment.
            return None
        if row["id"] is None:
            wait = row["wait_seconds"]
            self._worker.fetch_job_polling_interval = POLL if wait is None else min(wait, POLL)
            return None
        limited = self._share.per_second is not None
        fetched = {
            "task": row["task_name"],
            "payload": row["args"],
            "start_by": asked_at + self._margin if limited else None,
        }
        return Job.from_row(row | {"task_name": _ATTEMPT, "args": fetched})

    async def update_heartbeat(self, worker_id: int) -> None:
        """The next one comes when the server is back."""
        with contextlib.suppress(exceptions.ConnectorException):
            await super().update_heartbeat(worker_id)

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> Iterable[int]:
        """None: an attempt ends by its time or with its worker."""
        return ()

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """The attempt has settled its row itself, in one statement with its dead letter."""

    def learn(self, *, late: bool) -> None:
        """A machine too slow for the margin asks for a wider one, and for less when it is not."""
        factor = 2.0 if late else 0.9
        self._margin = min(max(self._margin * factor, MIN_MARGIN), MAX_MARGIN)
