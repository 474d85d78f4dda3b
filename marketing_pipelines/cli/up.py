"""`up`: Dagster's UI and daemon, the API and a worker under one supervisor, until Ctrl-C."""

import fcntl
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from marketing_pipelines.cli import config, running_up
from marketing_pipelines.cli.doctor import said_of_unknown
from marketing_pipelines.cli.one_part import Listening, OnePart, run_one
from marketing_pipelines.cli.session import connected, dagster_environment
from marketing_pipelines.cli.supervision import SECONDS_TO_STOP, Guard, end_marked, mark
from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError, WrongUsageError
from marketing_pipelines.locations import WORKSPACE_FILE, configuration_file
from marketing_pipelines.observability.alerts import UI_VARIABLE
from marketing_pipelines.runs.sessions import close_abandoned
from marketing_pipelines.settings import Settings, get_settings, unknown_variables
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.postgres import dagster_database_url
from marketing_pipelines.stores.private import make_private
from marketing_pipelines.stores.schema import ensure_database

FIRST_BACK_OFF = 1.0
MAX_BACK_OFF = 60.0
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
    end_by: float | None = None

    def keep_running(self, environment: dict[str, str], folder: Path) -> None:
        """Starts it if it is due; notes its end and when to start it again."""
        now = time.monotonic()
        if self.end_by is not None:
            return
        if self.process is not None and self.process.poll() is not None:
            if now - self.started > STEADY_AFTER:
                self.back_off = FIRST_BACK_OFF
            say(
                f"{self.name} ended with code {self.process.returncode}: "
                f"starting it again in {self.back_off:.0f} s"
            )
            self.start_at = now + self.back_off
            self.back_off = min(self.back_off * 2, MAX_BACK_OFF)
            self.process = None
        if self.process is None and now >= self.start_at:
            self.started = now
            self.process = subprocess.Popen(
                self.command, env=environment, cwd=folder, start_new_session=True
            )

    def replace(self) -> bool:
        """Ends it, to be started again at once; returns true when it has ended."""
        if self.process is not None and self.process.poll() is None:
            if self.end_by is None:
                say(f"{self.name} starts again with the changes of jobs.toml")
                self.end_by = time.monotonic() + SECONDS_TO_STOP
                self.process.terminate()
            elif time.monotonic() > self.end_by:
                self.process.kill()
            return False
        self.process, self.end_by, self.start_at = None, None, time.monotonic()
        return True


def up(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")] = 3000,
    api_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the API and of /admin.")
    ] = 8000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback the UI asks for a token.")
    ] = "127.0.0.1",
    only: Annotated[
        OnePart | None, typer.Option(help="Run this part alone, as in a container.")
    ] = None,
    code_server: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="With --only: where code-server listens, and webserver and daemon find it.",
        ),
    ] = None,
) -> None:
    """Keep everything running: Dagster UI and daemon, API, worker. Ctrl-C stops all of it."""
    if only is not None:
        given = {
            f"--{name.replace('_', '-')}"
            for name in ("host", "port", "api_port", "code_server")
            if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
        }
        run_one(only, Listening(host, port, api_port, code_server), given)
    if code_server is not None:
        raise WrongUsageError("--code-server needs --only: `up` starts the code by itself.")
    for variable in unknown_variables().items():
        say(said_of_unknown(variable))
    with _alone(get_settings()), connected() as (settings, engine), running_up.noted(settings):
        if left := end_marked(settings.data_dir):
            say(f"{len(left)} processes of an `up` that was killed are ended")
        config.apply_changed()
        require_free(host, port, "--port")
        require_free(host, api_port, "--api-port")
        with engine.begin() as connection:
            for session_id in close_abandoned(connection):
                say(f"session {session_id} was abandoned by a process that is gone")
        ensure_database(dagster_database_url(settings))
        environment = {"MARKETING_LOG_LEVEL": "info"} | os.environ | dagster_environment(settings)
        own_id = uuid.uuid4().hex
        environment |= mark(settings.data_dir, own_id)
        environment[UI_VARIABLE] = address(host, port)
        say(f"Dagster UI on {address(host, port)}, API on {address(host, api_port)}/admin")
        say(f"data in {settings.data_dir}, Ctrl-C stops")
        guard = Guard(settings.data_dir, own_id)
        _supervise(_parts(host, port, api_port), environment, settings, guard)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Refuses a second daemon; the lock ends with the process."""
    make_private(settings.data_dir)
    with (settings.data_dir / "up.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                f"`up` keeps {settings.data_dir} running already: stop that one first, or name "
                "another folder in MARKETING_DATA_DIR."
            ) from error
        yield


def require_free(host: str, port: int, option: str) -> None:
    """Refuses a port that another process listens on.

    Raises:
        ConfigurationError: it cannot be used; the text says why.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} on {host} cannot be used ({error.strerror}): choose another with "
            f"{option}, or another address with --host."
        ) from error


def address(host: str, port: int) -> str:
    """The URL of a server: of loopback where it listens everywhere; IPv6 stands in brackets."""
    with suppress(ValueError):  # a name
        if (listens_on := ipaddress.ip_address(host)).is_unspecified:
            host = "127.0.0.1" if listens_on.version == 4 else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _parts(host: str, port: int, api_port: int) -> list[Part]:
    python = [sys.executable, "-W", "ignore", "-m"]
    workspace = str(configuration_file(WORKSPACE_FILE))
    # As this project's own logs: colours on a terminal alone.
    style = "colored" if sys.stderr.isatty() else "json"
    quiet = ["-w", workspace, "--code-server-log-level", "error", "--log-format", style]
    return [
        Part(
            "web server",
            [*python, "marketing_pipelines", "ui", "--host", host, "--port", str(port)],
        ),
        Part("daemon", [*python, "dagster._daemon", "run", *quiet, "--log-level", "warning"]),
        Part(
            "API", [*python, "marketing_pipelines", "api", "--host", host, "--port", str(api_port)]
        ),
        Part("worker", [*python, "marketing_pipelines", "worker"]),
    ]


@dataclass
class Server:
    """The embedded PostgreSQL, where it is used; it may be killed, or fail to start for a while."""

    settings: Settings
    trouble: str = ""

    def keep_running(self) -> None:
        """Starts it if it died; says once why that fails, and leaves it to the next call."""
        if self.settings.database_url is not None:
            return
        try:
            EmbeddedPostgres.of(self.settings).ensure_running()
            trouble = ""
        except (StoreUnavailableError, ConfigurationError) as error:
            trouble = str(error)
        if trouble != self.trouble:
            say(f"{trouble} Trying again." if trouble else "PostgreSQL runs again")
        self.trouble = trouble


def _supervise(
    parts: list[Part], environment: dict[str, str], settings: Settings, guard: Guard
) -> None:
    server = Server(settings)
    watch = config.Watch.begin()
    to_replace: list[Part] = []
    try:
        with _stop_requested() as stopping:
            while not stopping:
                guard.keep_running()
                server.keep_running()
                has_changed, said = watch.look()
                if said:
                    say(said)
                if has_changed:
                    to_replace = list(parts)
                # One after the other; the tasks of a worker go back to their queue.
                if to_replace and to_replace[0].replace():
                    to_replace.pop(0)
                for part in parts:
                    # Not the checkout: Dagster would let its `.env` win over our environment.
                    part.keep_running(environment, settings.data_dir)
                time.sleep(0.5)
    finally:
        say("stopping")
        end_marked(settings.data_dir)
        guard.dismiss()


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
