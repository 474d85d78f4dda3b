"""Several workers at once: threads that wait while the server works over as many connections.

A connection is opened, used and closed by one thread. Other threads only cancel its statement, or
cut it, so that its thread ends by itself; the call returns only when all threads have ended.
"""

import contextlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from marketing_pipelines.domains.lifecycle.batch_worker import (
    BatchWorker,
    ExtraConnection,
    StoppedError,
)
from marketing_pipelines.stores.postgres import Begin

# So often a statement is asked to end, twice a second, before its connection is cut.
MAX_REQUESTS = 10


def run_parallel(
    workers: Sequence[BatchWorker], begin: Begin, extra_connection: ExtraConnection | None
) -> None:
    """Runs the first worker in this thread, each other in a thread and connection of its own.

    It returns when all have ended. If one fails, or this thread is interrupted, all are stopped.

    Args:
        begin: Opens transactions for the first.
        extra_connection: Opens a connection for each other worker; the thread that opened it
            closes it.
    """
    first, *others = workers
    if not others or extra_connection is None:
        first.run(begin)
        return
    with ThreadPoolExecutor(len(others), thread_name_prefix="move") as pool:
        running: list[Future[None]] = []
        try:
            for worker in others:
                running.append(pool.submit(worker.run_on_extra_connection, extra_connection))
                running[-1].add_done_callback(
                    lambda done: first.halt() if done.exception() is not None else None
                )
            first.run(begin)
            for one in running:
                one.result()
        except BaseException as error:
            _stop_all(others, running)
            if isinstance(error, StoppedError):
                raise _first_failure(running) from None
            raise


def _stop_all(workers: Sequence[BatchWorker], running: Sequence["Future[None]"]) -> None:
    """Stops the workers and waits for their ends, through any interruption. Their connections are
    in use until then. It asks again and again, because a worker between two statements has none to
    cancel."""
    requests = 0
    while not all(one.done() for one in running):
        # Another signal asks for the same.
        with contextlib.suppress(BaseException):
            requests += 1
            for worker, one in zip(workers, running, strict=False):
                if not one.done():
                    worker.stop(by_force=requests > MAX_REQUESTS)
            wait(running, timeout=0.5)


def _first_failure(running: Sequence["Future[None]"]) -> BaseException:
    failures = [one.exception() for one in running]
    return next(one for one in failures if one is not None and not isinstance(one, StoppedError))
