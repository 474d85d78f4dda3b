"""Set-up of every command: the server running, the schema current, Dagster's environment."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import sqlalchemy as sa
import typer

from marketing_pipelines.failures import WrongUsageError
from marketing_pipelines.locations import (
    CODE_LOCATION,
    INSTANCE_FILE,
    WORKSPACE_FILE,
    configuration_file,
)
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.postgres import (
    create_engine,
    dagster_database_url,
    database_url,
)
from marketing_pipelines.stores.private import make_private
from marketing_pipelines.stores.schema import ensure_database, migrate

if TYPE_CHECKING:
    from dagster import DagsterInstance

OrganizationOption = Annotated[str, typer.Option("--organization", help="External id, or number.")]


@contextlib.contextmanager
def server_running(settings: Settings) -> Iterator[None]:
    """The embedded server for as long as it is needed; nothing where a database is named."""
    if settings.database_url is not None:
        yield
        return
    with EmbeddedPostgres.of(settings).using():
        yield


@contextlib.contextmanager
def connected() -> Iterator[tuple[Settings, sa.Engine]]:
    """The settings, and an engine on a running server whose schema is current."""
    settings = get_settings()
    # The step that needs the folder names the fault.
    with contextlib.suppress(OSError):
        make_private(settings.data_dir)
    with server_running(settings):
        url = database_url(settings)
        migrate(url, settings)
        yield settings, create_engine(url)


@contextlib.contextmanager
def dagster_instance() -> Iterator["DagsterInstance"]:
    """Dagster's storage, for commands that run jobs; call it while connected."""
    settings = get_settings()
    os.environ.update(dagster_environment(settings))
    ensure_database(dagster_database_url(settings))
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        yield instance


def dagster_home(settings: Settings) -> Path:
    """Dagster's home in the data folder, with `dagster.yaml` of this release in it."""
    home = settings.data_dir / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    content, path = configuration_file(INSTANCE_FILE).read_bytes(), home / INSTANCE_FILE
    if not path.is_file() or path.read_bytes() != content:
        # Processes that start at once each move a whole file into place.
        partial = home / f".{INSTANCE_FILE}.{os.getpid()}"
        partial.write_bytes(content)
        partial.replace(path)
    return home


def workspace_file(settings: Settings, code_server: str | None) -> Path:
    """The file that says where Dagster's processes find the code.

    Args:
        code_server: `host:port` of a code server; None: each process starts its own.

    Raises:
        WrongUsageError: that is no such address.
    """
    if code_server is None:
        return configuration_file(WORKSPACE_FILE)
    host, port = host_and_port(code_server)
    path = dagster_home(settings) / WORKSPACE_FILE
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    server = {"host": host, "port": port, "location_name": CODE_LOCATION}
    partial.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))  # YAML holds JSON
    partial.replace(path)
    return path


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of an address such as `code:4000` or `[::1]:4000`.

    Raises:
        WrongUsageError: it is none.
    """
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s/]+):(\d{1,5})", address)
    if found is None or not 0 < int(found[2]) < 65536:
        raise WrongUsageError(f"--code-server '{address}' is no address: write host:port.")
    return found[1].strip("[]"), int(found[2])


def dagster_environment(settings: Settings) -> dict[str, str]:
    """The variables that `dagster.yaml` and Dagster's own processes read."""
    logs = settings.data_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    url = dagster_database_url(settings).render_as_string(hide_password=False)
    own = {
        f"MARKETING_{name.upper()}": str(getattr(settings, name))
        for name in settings.model_fields_set
    }
    return own | {
        "DAGSTER_HOME": str(dagster_home(settings)),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "1",
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "MARKETING_DATA_DIR": str(settings.data_dir),
        "DAGSTER_STORAGE_URL": url,
        "DAGSTER_STORAGE_DIR": str(settings.data_dir),
        "DAGSTER_LOG_DIR": str(logs),
        # Dagster's columns have no zone; libpq tells the server the session's, poolers too.
        "PGTZ": "UTC",
        # Dagster's own processes read zones from the package `tzdata`, as ours do.
        "PYTHONTZPATH": "",
    }
