"""`up`: Dagster's UI and daemon, the API and a worker under one supervisor, until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Annotated

import psutil
import typer

from marketing_pipelines.cli.session import connected, dagster_environment
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings, project_root
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.embedded_server import is_alive
from marketing_pipelines.stores.postgres import dagster_database_url
from marketing_pipelines.stores.schema import ensure_database
from marketing_pipelines.stores.sessions import close_abandoned

SECONDS_TO_STOP = 8.0
FIRST_BACK_OFF = 1.0
LONGEST_BACK_OFF = 60.0
STEADY_AFTER = 60.0


@dataclass
class Part:
    """One process of the installation, started again when it ends."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    back_off: float = FIRST_BACK_OFF
    start_at: float = field(default_factory=time.monotonic)
    # What the part started and left behind when it crashed: runs, which go on with their work.
    orphans: list[psutil.Process] = field(default_factory=list)

    def keep_running(self, environment: dict[str, str]) -> None:
        """Starts it if it is due; notes its end and when to start it again."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            if now - self.started > STEADY_AFTER:
                self.back_off = FIRST_BACK_OFF
            say(
                f"{self.name} ended with code {self.process.returncode}: "
                f"starting it again in {self.back_off:.0f} s"
            )
            self.orphans = [p for p in self.orphans if p.is_running()] + self._members()
            self.start_at = now + self.back_off
            self.back_off = min(self.back_off * 2, LONGEST_BACK_OFF)
            self.process = None
        if self.process is None and now >= self.start_at:
            self.started = now
            self.process = subprocess.Popen(
                self.command, env=environment, cwd=project_root(), start_new_session=True
            )

    def signal(self, number: signal.Signals) -> None:
        """Signals the whole group: code servers and run workers too."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
        for orphan in self.orphans:
            with suppress(psutil.NoSuchProcess):
                orphan.send_signal(number)

    def has_ended(self) -> bool:
        """Whether nothing of it is left."""
        self.orphans = [orphan for orphan in self.orphans if is_alive(orphan)]
        if self.process is None:
            return not self.orphans
        return self.process.poll() is not None and not self.orphans and not self._members()

    def _members(self) -> list[psutil.Process]:
        """The processes of its session; it started one of its own."""
        assert self.process is not None
        return [p for p in psutil.process_iter() if is_alive(p) and _session(p) == self.process.pid]


def _session(process: psutil.Process) -> int | None:
    with suppress(OSError):
        return os.getsid(process.pid)
    return None


def up(
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    api_port: Annotated[int, typer.Option(help="Port of the API and of /admin.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on; the UI has no login.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Keep everything running: Dagster UI and daemon, API, worker. Ctrl-C stops all of it."""
    require_free(host, port, "--port")
    require_free(host, api_port, "--api-port")
    with connected() as (settings, engine):
        with engine.begin() as connection:
            for session_id in close_abandoned(connection):
                say(f"session {session_id} was abandoned by a process that is gone")
        ensure_database(dagster_database_url(settings))
        environment = {"MARKETING_LOG_LEVEL": "info"} | os.environ | dagster_environment(settings)
        say(f"Dagster UI on http://{host}:{port}, API on http://{host}:{api_port}/admin")
        say(f"data in {settings.data_dir}, Ctrl-C stops")
        _supervise(_parts(host, port, api_port), environment, settings)


def require_free(host: str, port: int, option: str) -> None:
    """Refuses a port that another process listens on.

    Raises:
        ConfigurationError: it cannot be used; the text says why.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} on {host} cannot be used ({error.strerror}): choose another with "
                f"{option}."
            ) from error


def _parts(host: str, port: int, api_port: int) -> list[Part]:
    python = [sys.executable, "-W", "ignore", "-m"]
    quiet = ["-w", "workspace.yaml", "--code-server-log-level", "warning"]
    address = ["-h", host, "-p", str(port)]
    return [
        Part(
            "web server",
            [*python, "dagster_webserver", *quiet, *address, "--dagster-log-level", "warning"],
        ),
        Part("daemon", [*python, "dagster._daemon", "run", *quiet, "--log-level", "warning"]),
        Part(
            "API", [*python, "marketing_pipelines", "api", "--host", host, "--port", str(api_port)]
        ),
        Part("worker", [*python, "marketing_pipelines", "worker"]),
    ]


def _supervise(parts: list[Part], environment: dict[str, str], settings: Settings) -> None:
    try:
        with _stop_requested() as stopping:
            while not stopping:
                if settings.database_url is None:
                    EmbeddedPostgres(settings.data_dir).ensure_running()
                for part in parts:
                    part.keep_running(environment)
                time.sleep(0.5)
    finally:
        say("stopping")
        _stop(parts)


def _stop(parts: list[Part]) -> None:
    """Ends them with everything they started, by force what does not end by itself."""
    for number, patience in ((signal.SIGTERM, SECONDS_TO_STOP), (signal.SIGKILL, 1.0)):
        for part in parts:
            part.signal(number)
        deadline = time.monotonic() + patience
        while not all(part.has_ended() for part in parts):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        else:
            return


@contextmanager
def _stop_requested() -> Iterator[list[int]]:
    """A list that is empty until Ctrl-C, SIGTERM or the end of the terminal."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, note) for number in ends}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def say(text: str) -> None:
    """One line of the supervisor."""
    print(f"up: {text}", flush=True)
