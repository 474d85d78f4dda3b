"""The domain for tests, installed beside the others, in this process and in worker processes.

`python -m marketing_pipelines_tests.queueing.installed worker …` is `marketing-pipelines worker …`
with it.
"""

import datetime as dt
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from marketing_pipelines import domains
from marketing_pipelines.domains import load_tasks
from marketing_pipelines.queueing import tasks
from marketing_pipelines.queueing import workers as timing
from marketing_pipelines.queueing.enqueue import enqueue
from marketing_pipelines.queueing.tasks import Task
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.scale import SOAK

FOLDER = str(Path(__file__).parent / "domains")
TABLE = """
    create table ops.recorded (
        id bigint generated always as identity,
        task_id bigint, attempt int, number int, started_at timestamptz, pid int
    )
"""


def install() -> None:
    """Declares the tasks of the domain for tests."""
    if FOLDER not in domains.__path__:
        domains.__path__.append(FOLDER)
    load_tasks()


def recording(name: str) -> Task:
    """A task of the domain for tests."""
    install()
    return tasks.find(f"recording/{name}")


def put(engine: sa.Engine, name: str, count: int = 1, **payload: Any) -> list[int]:
    """Enqueues so many, numbered from 0, in one transaction."""
    rows = [{"number": number, **payload} for number in range(count)]
    with engine.begin() as connection:
        return enqueue(connection, recording(name), rows)


def calls(engine: sa.Engine, columns: str = "task_id, attempt") -> list[Any]:
    """The recorded calls, in the order of their start."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            f"select {columns} from ops.recorded order by started_at, id"
        )
        return [tuple(row) for row in rows]


def scalar(engine: sa.Engine, statement: str) -> Any:
    """The one value of a query."""
    with engine.connect() as connection:
        return connection.exec_driver_sql(statement).scalar_one()


@contextmanager
def workers(count: int, *arguments: str) -> Iterator[list["subprocess.Popen[str]"]]:
    """Worker processes; those that are left are killed at the end."""
    with ExitStack() as stack:
        processes: list[subprocess.Popen[str]] = [
            stack.enter_context(
                Forked(
                    __name__,
                    "worker",
                    *arguments,
                    env=os.environ | {"PYTHONUNBUFFERED": "1"},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            )
            for _ in range(count)
        ]
        try:
            yield processes
        finally:
            for process in processes:
                process.kill()


def drain(*arguments: str) -> str:
    """Runs one worker until nothing is due; returns what it printed."""
    with workers(1, "--drain", *arguments) as [process]:
        printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    return str(printed)


if __name__ == "__main__":
    from marketing_pipelines.cli.main import main

    if not SOAK:
        # Silent workers are noticed in less than half of the time.
        timing.HEARTBEAT, timing.HOUSEKEEPING = 1.0, 1.0
        timing.SILENT_FOR = dt.timedelta(seconds=8)
    install()
    main()
