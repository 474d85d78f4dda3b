"""A PostgreSQL process of this machine: start it, wait until it is ready, find it, end it.

Works on folders and processes that it is given; whose they are is decided in `embedded_home` and
`embedded`.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from marketing_pipelines.failures import StoreUnavailableError

READY_SECONDS = 60
STOP_SECONDS = 30
LOG_LIMIT_BYTES = 10_000_000
SOCKET_NAME = ".s.PGSQL.5432"
# A DETAIL, a CONTEXT and a failed statement hold values of rows, such as the address of a person.
QUIET_SETTINGS = ("log_error_verbosity=terse", "log_min_error_statement=panic")
# Pids of processes that this one started, to reap ended ones.
_children: set[int] = set()


class ServerLog:
    """The file that a server and its keeper write to; failures quote it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def since(self, start: int) -> str:
        with self.path.open("rb") as log:
            log.seek(max(start, self.size() - 20_000))
            return log.read().decode(errors="replace")

    def failure(self, what: str, start: int) -> StoreUnavailableError:
        why = reason(self.since(start))
        return StoreUnavailableError(f"PostgreSQL {what}: {why} (log: {self.path})")

    def spawn(self, command: Sequence[Path | str], **options: Any) -> psutil.Process:
        """Start a process that outlives this one and that Ctrl-C in our terminal does not reach."""
        if self.size() > LOG_LIMIT_BYTES:
            self.path.replace(self.path.with_suffix(".log.1"))
        with self.path.open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **options,
            )
        _children.add(child.pid)
        # It outlives its Python object, which would complain of that.
        child.returncode = 0
        return psutil.Process(child.pid)


def launch(
    binaries: Path, pgdata: Path, socket_dir: Path, log: ServerLog, **options: Any
) -> psutil.Process:
    """Start a server on `pgdata` and wait until it takes connections.

    Raises:
        StoreUnavailableError: it ended, or was not ready in time; the message says why.
    """
    # Files of a dead server; PostgreSQL would refuse to start if its pid belongs to another program
    # now.
    for stale in (
        pgdata / "postmaster.pid",
        socket_dir / SOCKET_NAME,
        socket_dir / f"{SOCKET_NAME}.lock",
    ):
        stale.unlink(missing_ok=True)
    settings = ("listen_addresses=", _socket_setting(socket_dir), *QUIET_SETTINGS)
    options_given = [word for setting in settings for word in ("-c", setting)]
    command = (binaries / "postgres", "-D", pgdata, "-p", "5432", *options_given)
    deadline = time.monotonic() + READY_SECONDS
    while True:
        log_start = log.size()
        server = log.spawn([str(word) for word in command], **options)
        try:
            if is_ready(server, pgdata, log, log_start):
                return server
        except BaseException:
            end(server)
            raise
        # Backends of a killed server need a moment to notice before they let go.
        if "is still in use" not in log.since(log_start) or time.monotonic() > deadline:
            raise log.failure("did not start", log_start)
        time.sleep(0.2)


def is_ready(
    server: psutil.Process, pgdata: Path, log: ServerLog, log_start: int | None = None
) -> bool:
    """Wait until it takes connections; false if it ended. Recovery that logs may go on."""
    start = log.size() if log_start is None else log_start
    seen, deadline = start, time.monotonic() + READY_SECONDS
    while is_alive(server):
        found = lines(pgdata / "postmaster.pid")
        if found[:1] == [str(server.pid)] and found[7:] == ["ready"]:
            return True
        if (size := log.size()) != seen:
            seen, deadline = size, time.monotonic() + READY_SECONDS
        if time.monotonic() > deadline:
            raise log.failure(f"is not ready after {READY_SECONDS} s", start)
        time.sleep(0.01)
    return False


def server_of(pgdata: Path) -> psutil.Process | None:
    """The live server of a cluster, ready or not."""
    return find(first_number(pgdata / "postmaster.pid"), "postgres", "-D", str(pgdata))


def server_at(socket_dir: Path) -> psutil.Process | None:
    """The live server that listens in a folder, of any cluster."""
    pid = first_number(socket_dir / f"{SOCKET_NAME}.lock")
    return find(pid, _socket_setting(socket_dir))


def listens_at(server: psutil.Process, socket_dir: Path) -> bool:
    """Returns true if the server was started for that folder and its socket is still there."""
    started_there = find(server.pid, _socket_setting(socket_dir)) is not None
    return started_there and (socket_dir / SOCKET_NAME).exists()


def end(server: psutil.Process, *, immediately: bool = False) -> None:
    """Stop a server, and without its checkpoint if need be; the next start then recovers.

    A server whose folder was deleted must end `immediately`: its checkpoint would write the
    control file by absolute path, into the new cluster that may lie there by now.
    """
    for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 10))[immediately:]:
        with contextlib.suppress(psutil.NoSuchProcess):
            server.send_signal(number)
        if wait_gone(server, seconds):
            return
    raise StoreUnavailableError(f"PostgreSQL, process {server.pid}, does not stop: end it by hand.")


def find(pid: int | None, *words: str) -> psutil.Process | None:
    """The live process `pid` if its command has all `words` (its program by base name)."""
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        command = process.cmdline()
    except psutil.Error:
        return None
    command = [Path(command[0]).name, *command[1:]] if command else []
    return process if is_alive(process) and set(words) <= set(command) else None


def is_alive(process: psutil.Process) -> bool:
    for child in tuple(_children):
        if _has_ended(child):
            _children.discard(child)
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _has_ended(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True


def wait_gone(process: psutil.Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_alive(process)


def reason(output: str) -> str:
    """The line of a server's or tool's output that names the fault."""
    if found := re.findall(r"\b(?:FATAL|PANIC|ERROR|error):\s.*", output):
        return str(found[-1])
    said = [line.strip() for line in output.splitlines() if line.strip()]
    return said[-1] if said else "it said nothing"


def first_number(path: Path) -> int | None:
    found = lines(path)
    return int(found[0]) if found and found[0].isdigit() else None


def lines(path: Path) -> list[str]:
    """A small file's lines, stripped; none if it is not there for us."""
    try:
        return [line.strip() for line in path.read_text().splitlines()]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _socket_setting(socket_dir: Path) -> str:
    return f"unix_socket_directories={socket_dir}"
