"""The processes of one `up`: marked when they start, ended together with their supervisor.

Everything that `up` starts inherits a variable that names the `up` and its data folder; code
servers and runs pass it on, whatever session they are in. The guard is a process that holds the
end of a pipe of which the supervisor holds the other: when the supervisor ends, however it does,
the guard reads the end of the pipe and ends what this `up` has marked. A new `up` ends what any
earlier one of the folder has left before it starts its own.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "SUPERVISED_BY_UP_OF"
SECONDS_TO_STOP = 7.0
SECONDS_TO_DIE = 2.0


def mark(data_dir: Path, up: str) -> dict[str, str]:
    """The variable that marks the processes of one `up` of this data folder."""
    return {MARK: f"{up} {data_dir.resolve()}"}


def marked(data_dir: Path, up: str | None = None) -> list[psutil.Process]:
    """The live processes that an `up` of this data folder started, directly or not.

    Args:
        up: The id of this `up`; None: any.
    """
    folder = str(data_dir.resolve())
    found = []
    for process in psutil.process_iter():
        by, _, its_folder = _mark_of(process).partition(" ")
        if its_folder == folder and up in (None, by) and process.pid != os.getpid():
            found.append(process)
    return found


def end_marked(data_dir: Path, up: str | None = None) -> list[psutil.Process]:
    """Ends them, by force if they do not end by themselves; returns those it found."""
    found: list[psutil.Process] = []
    for number, patience in (
        (signal.SIGTERM, SECONDS_TO_STOP),
        (signal.SIGKILL, SECONDS_TO_DIE),
    ):
        signalled: set[psutil.Process] = set()
        deadline = time.monotonic() + patience
        while (alive := marked(data_dir, up)) and time.monotonic() < deadline:
            for process in set(alive) - signalled:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            signalled.update(alive)
            time.sleep(0.1)
        found += [process for process in signalled if process not in found]
    return found


class Guard:
    """The process that outlives a killed supervisor for as long as its parts need to end."""

    def __init__(self, data_dir: Path, up: str) -> None:
        self._data_dir = data_dir
        self._up = up
        self._process: subprocess.Popen[bytes] | None = None

    def keep_running(self) -> None:
        """Starts it, and again if it was killed."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(self._data_dir), self._up],
                stdin=subprocess.PIPE,
                cwd=self._data_dir,
                start_new_session=True,
            )

    def dismiss(self) -> None:
        """Lets it end; it finds nothing to do where the parts have ended."""
        if self._process is not None:
            self._process.communicate()


def _mark_of(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARK, "")
    except (psutil.Error, OSError):  # ended in between, or another user's
        return ""


def _guard(data_dir: Path, up: str) -> None:
    sys.stdin.buffer.read()
    while end_marked(data_dir, up):
        time.sleep(1)  # a process that was just being started carries its mark by then


if __name__ == "__main__":
    _guard(Path(sys.argv[1]), sys.argv[2])
