"""`up --only`: one part of an installation of several machines, in the foreground.

The process becomes the part, so signals reach it and its end is the container's.
"""

import os
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NoReturn

from marketing_pipelines.cli import config
from marketing_pipelines.cli.session import (
    connected,
    dagster_environment,
    host_and_port,
    workspace_file,
)
from marketing_pipelines.failures import ConfigurationError, WrongUsageError
from marketing_pipelines.locations import CODE_LOCATION
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines.stores.postgres import dagster_database_url
from marketing_pipelines.stores.schema import ensure_database

PYTHON = [sys.executable, "-W", "ignore", "-m"]


class OnePart(StrEnum):
    """The parts that run alone."""

    WEBSERVER = "webserver"
    DAEMON = "daemon"
    CODE_SERVER = "code-server"
    API = "api"
    WORKER = "worker"


# The options of `up` that change something about a part.
OPTIONS: Mapping[OnePart, frozenset[str]] = MappingProxyType(
    {
        OnePart.WEBSERVER: frozenset({"--host", "--port", "--code-server"}),
        OnePart.DAEMON: frozenset({"--code-server"}),
        OnePart.CODE_SERVER: frozenset({"--code-server"}),
        OnePart.API: frozenset({"--host", "--api-port"}),
        OnePart.WORKER: frozenset(),
    }
)


@dataclass(frozen=True)
class Listening:
    """The addresses of the parts.

    Attributes:
        code_server: `host:port` of the code server; None: the daemon and the web server each
            start one of their own.
    """

    host: str
    port: int
    api_port: int
    code_server: str | None


def run_one(part: OnePart, listening: Listening, given: Iterable[str]) -> NoReturn:
    """Becomes a part.

    Args:
        given: The options of `up` that the command line has.

    Raises:
        ConfigurationError: a setting that all machines need is missing.
        WrongUsageError: an option has no effect on the part, or the part needs a code server.
    """
    settings = get_settings()
    _require_shared(settings)
    if idle := sorted(set(given) - OPTIONS[part]):
        raise WrongUsageError(f"{idle[0]} has no effect on --only {part}: leave it out.")
    if part is OnePart.CODE_SERVER and listening.code_server is None:
        raise WrongUsageError("--only code-server needs --code-server HOST:PORT to listen on.")
    with connected():
        config.apply_changed()
        ensure_database(dagster_database_url(settings))
    environment = {"MARKETING_LOG_LEVEL": "info"} | os.environ | dagster_environment(settings)
    command = [*PYTHON, *_command(part, listening, settings)]
    print(f"up: {part} alone, data in {settings.data_dir}", flush=True)
    # Not the checkout: Dagster would let its `.env` win over our environment.
    os.chdir(settings.data_dir)
    # A shell starts programs in the background with SIGINT ignored, and Dagster's processes would
    # then ignore SIGTERM as well.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(sys.executable, command, environment)  # noqa: S606


def _require_shared(settings: Settings) -> None:
    for name in ("secret_key", "database_url"):
        if getattr(settings, name) is None:
            raise ConfigurationError(
                f"MARKETING_{name.upper()} is not set: `up --only` runs one part of several "
                "machines, and all of them need the same."
            )


def _command(part: OnePart, listening: Listening, settings: Settings) -> list[str]:
    host = ["--host", listening.host]
    style = "colored" if sys.stderr.isatty() else "json"
    match part:
        case OnePart.WEBSERVER:
            code = () if listening.code_server is None else ("--code-server", listening.code_server)
            return ["marketing_pipelines", "ui", *host, "--port", str(listening.port), *code]
        case OnePart.DAEMON:
            workspace = ["-w", str(workspace_file(settings, listening.code_server))]
            levels = ["--code-server-log-level", "error", "--log-level", "warning"]
            return ["dagster._daemon", "run", *workspace, *levels, "--log-format", style]
        case OnePart.CODE_SERVER:
            name, port = host_and_port(str(listening.code_server))
            place = ["--host", name, "--port", str(port), "--location-name", CODE_LOCATION]
            code = ("--module-name", "marketing_pipelines.definitions")
            logs = ["--log-level", "warning", "--log-format", style]
            own_python = "--use-python-environment-entry-point"
            return ["dagster", "api", "grpc", *place, *code, *logs, own_python]
        case OnePart.API:
            port = listening.api_port
            return ["marketing_pipelines", "api", *host, "--port", str(port), "--behind-proxy"]
        case OnePart.WORKER:
            return ["marketing_pipelines", "worker"]
