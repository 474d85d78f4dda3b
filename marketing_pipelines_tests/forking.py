"""Processes that run a module of the project, forked from one that has imported the libraries.

Python and the libraries take seconds of a processor to start. A forked process finds them there,
with those modules of the project that neither read the environment nor declare tasks and jobs; it
imports the others itself. Its environment, session, streams, signals and end are its own.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The libraries that commands, workers and runs import, without those that start threads.
LIBRARIES = (
    "alembic.command",
    "css_inline",
    "dagster",
    "dagster_postgres",
    "fastapi",
    "fsspec",
    "httpx2",
    "imap_tools",
    "itsdangerous",
    "jinja2",
    "jwt",
    "procrastinate",
    "prometheus_client",
    "psutil",
    "psycopg",
    "psycopg2",
    "pydantic_settings",
    "rich",
    "sqlalchemy.dialects.postgresql.psycopg",
    "stamina",
    "typer",
    "upath",
    "uvicorn",
    "watchdog",
)
# The commands without what they load when they run.
MODULES = ("marketing_pipelines.cli.main", "marketing_pipelines.jobs.scheduling")
_NUMBER = struct.Struct("!i")
_ask = threading.Lock()


class Forked(subprocess.Popen[str]):
    """`python -m MODULE ARGUMENT…`, leader of a session of its own.

    Only its start, and how its end is noticed, differ from what `subprocess` does.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        quiet: bool = True,
        **streams: Any,
    ) -> None:
        """Starts it.

        Args:
            env: Its whole environment; None: that of this process.
            quiet: As with `-W ignore`.
            streams: `stdin`, `stdout` and `stderr` as `subprocess` takes them; those that are not
                given are empty and go nowhere.
        """
        self._quiet = quiet
        nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        super().__init__(
            [module, *arguments], env=env or os.environ, text=True, **(nowhere | streams)
        )

    def _execute_child(self, command: list[str], *rest: Any) -> None:
        ends = rest[9:15]
        request = {"command": command, "env": dict(rest[5]), "quiet": self._quiet}
        request["cwd"] = str(Path.cwd())
        self._told, telling = socket.socketpair()
        descriptors = [ends[0], ends[3], ends[5], telling.fileno()]
        with _ask:
            with telling:
                socket.send_fds(_forker(), [json.dumps(request).encode() + b"\n"], descriptors)
            self.pid = self._next_number()
        self._child_created = True
        self._close_pipe_fds(*ends)  # type: ignore[attr-defined]

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._wait(0)
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = self._next_number()
            self._told.close()
        return self.returncode

    def _next_number(self) -> int:
        received = self._told.recv(_NUMBER.size, socket.MSG_WAITALL)
        if not received:
            raise RuntimeError("The process that forks has ended; its error is on stderr.")
        [number] = _NUMBER.unpack(received)
        return int(number)


@functools.cache
def _forker() -> socket.socket:
    """Starts the process that forks, and ends when nobody can ask it any more."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", __name__]
    with theirs:
        process = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True)
    # The last of these comes first.
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _serve(asked: socket.socket) -> dict[str, Any]:
    """Forks whenever it is asked to; returns in the forked process, with the request."""
    ended, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    told: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([asked, ended], [], [])
        if ended in ready:
            ended.recv(4096)
            _tell_ends(told)
        if asked not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(asked, 1 << 16, 4)
        if not message:
            sys.exit()
        while not message.endswith(b"\n"):
            message += asked.recv(1 << 16)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for one in (asked, ended, wakes, *told.values()):
                one.close()
            request: dict[str, Any] = json.loads(message)
            _settle(request, descriptors)
            return request
        *streams, telling = descriptors
        for descriptor in streams:
            os.close(descriptor)
        told[pid] = socket.socket(fileno=telling)
        told[pid].sendall(_NUMBER.pack(pid))


def _tell_ends(told: dict[int, socket.socket]) -> None:
    """Sends the exit code of each process that has ended to its `Forked`."""
    while told:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with told.pop(pid) as telling, contextlib.suppress(OSError):
            telling.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(status)))


def _settle(request: dict[str, Any], descriptors: list[int]) -> None:
    """Gives the forked process what a started one has."""
    os.setsid()
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    time.tzset()
    sys.argv = request["command"]
    through = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)  # type: ignore[misc]
    sys.stdout.reconfigure(write_through=through)  # type: ignore[union-attr]
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, closefd=False)  # type: ignore[misc]
    if request["quiet"]:
        warnings.simplefilter("ignore")


def main() -> None:
    """Imports what processes share and forks until the process that started it ends."""
    for module in (*LIBRARIES, *MODULES):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    request = _serve(socket.socket(fileno=0))
    runpy.run_module(request["command"][0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
