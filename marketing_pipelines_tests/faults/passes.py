"""A pass over two connections in a process of its own: `python -m …faults.passes TICK BATCH`.

It prints `ready`, begins at the next line that it is sent, and ends. TICK as `world.at` reads it.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.lifecycle.world import at, move


@contextmanager
def passing(tick: str, batch: int) -> Iterator["subprocess.Popen[str]"]:
    """The process, which moves contacts as soon as it is told to; killed at the end."""
    with Forked(
        __name__,
        tick,
        str(batch),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def main(tick: str, batch: str) -> None:
    engine = create_engine(database_url(get_settings()))
    print("ready", flush=True)
    sys.stdin.readline()
    move(engine, at(tick), batch=int(batch), connections=2)


if __name__ == "__main__":
    main(*sys.argv[1:])
