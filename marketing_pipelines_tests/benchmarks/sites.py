"""Installations to measure: databases on one embedded server, each with its own data folder."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.postgres import database_url
from marketing_pipelines.stores.schema import migrate

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Site:
    """One installation."""

    name: str
    folder: Path
    url: str
    dagster_url: str

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes: ours without any MARKETING_* and DAGSTER_* of ours."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MARKETING_", "DAGSTER_"))
        }
        return inherited | {
            "MARKETING_DATABASE_URL": self.url,
            "MARKETING_DAGSTER_DATABASE_URL": self.dagster_url,
            "MARKETING_DATA_DIR": str(self.folder),
            "MARKETING_TIMEZONE": "UTC",
        }

    def child(self, *arguments: object) -> dict[str, Any]:
        """Runs one piece of work in a fresh process; see `child`."""
        command = [sys.executable, "-W", "ignore", "-m", f"{__package__}.child"]
        done = subprocess.run(
            [*command, *(str(word) for word in arguments)],
            env=self.variables,
            capture_output=True,
            check=False,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} {arguments} failed:\n{done.stderr[-4000:]}")
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    def execute(self, statement: str, *parameters: Any, then: str | None = None) -> list[Row]:
        """One transaction on the operational database, of one statement or two."""
        return _execute(self.url, statement, parameters, then)

    def settle(self) -> None:
        """Vacuums and checkpoints, so that the first measurements are not disturbed."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("vacuum (analyze)")
            connection.execute("checkpoint")

    def ask_dagster(self, statement: str, *parameters: Any) -> list[Row]:
        """The same on Dagster's storage."""
        return _execute(self.dagster_url, statement, parameters)


class Server:
    """The embedded server of one benchmark run."""

    def __init__(self, embedded: EmbeddedPostgres, folder: Path) -> None:
        self._embedded = embedded
        self._folder = folder

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator["Server"]:
        """Everything it keeps is removed afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="marketing-benchmarks-"))
        embedded = EmbeddedPostgres(folder / "server")
        try:
            with embedded.using():
                yield cls(embedded, folder)
        finally:
            home = embedded.pgdata.parent
            if home.parent.name == "marketing-pipelines":
                shutil.rmtree(home, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)

    def new_site(self, name: str) -> Site:
        """A fresh, migrated installation."""
        with psycopg.connect(self._embedded.url("postgres"), autocommit=True) as connection:
            for database in (name, f"dagster_{name}"):
                connection.execute(f"create database {database}")
        site = Site(
            name,
            self._folder / name,
            self._embedded.url(name),
            self._embedded.url(f"dagster_{name}"),
        )
        site.folder.mkdir()
        settings = Settings(database_url=site.url, timezone="UTC", data_dir=site.folder)
        migrate(database_url(settings), settings)
        return site


def _execute(
    url: str, statement: str, parameters: tuple[Any, ...], then: str | None = None
) -> list[Row]:
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        cursor = connection.execute(statement, parameters or None)
        rows = cursor.fetchall() if cursor.description else []
        if then is not None:
            connection.execute(then)
        return rows
