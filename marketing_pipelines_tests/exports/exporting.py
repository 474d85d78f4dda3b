"""An organization whose rows are exported: asks, workers and files, in this process."""

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from httpx2 import Response
from starlette.testclient import TestClient

from marketing_pipelines.api import tokens
from marketing_pipelines.api.app import build_app
from marketing_pipelines.domains import load_tables
from marketing_pipelines.domains.exports.reading import ExportStatus, status_of
from marketing_pipelines.loading import LoadResult, load_file
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.queueing.consuming import consume

NOW = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
EXPORTS = "/v1/exports"
_names = itertools.count(1)


@dataclass
class Exporter:
    """An organization with a token for exports; the clock stands still unless it is set."""

    installation: Installation
    now: dt.datetime = NOW
    name: str = field(default_factory=lambda: f"exporter{next(_names)}")
    scopes: Sequence[str] = ("read", "write")
    organization: int = field(init=False)
    bearer: dict[str, str] = field(init=False)
    client: TestClient = field(init=False)

    def __post_init__(self) -> None:
        load_tables()
        with self.engine.begin() as connection:
            self.organization = connection.execute(
                sa.text(
                    "insert into crm.organizations (external_id, timezone)"
                    " values (:name, 'Europe/Berlin') returning id"
                ),
                {"name": self.name},
            ).scalar_one()
            token = tokens.create(
                connection, f"app of {self.name}", list(self.scopes), self.organization
            )
        self.bearer = {"Authorization": f"Bearer {token}"}
        app = build_app(
            settings=self.installation.settings,
            engine=self.engine,
            instance=self.installation.instance,
            now=lambda: self.now,
        )
        self.client = TestClient(app, raise_server_exceptions=False)

    @property
    def engine(self) -> sa.Engine:
        """The engine of the installation."""
        return self.installation.engine

    def load(self, folder: Path, kind: str, text: str, suffix: str = "csv") -> LoadResult:
        """Loads a text as a file of a kind."""
        path = folder / f"{kind}-{next(_names)}.{suffix}"
        path.write_text(text, encoding="utf-8", newline="")
        return self.load_file(kind, path)

    def load_file(self, kind: str, path: Path) -> LoadResult:
        """Loads a file of a kind."""
        return load_file(self.engine, kind, path, settings=self.installation.settings)

    def ask(self, kind: str = "contacts", format_: str = "csv", **body: Any) -> Response:
        """Asks for an export."""
        order = {"organization": self.name, "kind": kind, "format": format_, **body}
        return self.client.post(EXPORTS, json=order, headers=self.bearer)

    def work(self) -> list[str]:
        """Works the queue of exports, as of the clock."""
        return consume(self.engine, "exports", clock=lambda: self.now)

    def show(self, number: int) -> dict[str, Any]:
        """An export as the API shows it."""
        answer = self.client.get(f"{EXPORTS}/{number}", headers=self.bearer)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def status(self, number: int) -> ExportStatus:
        """An export as its row says."""
        with self.engine.begin() as connection:
            found = status_of(connection, number, self.now, None)
        assert found is not None
        return found

    def exported(self, kind: str = "contacts", format_: str = "csv", **body: Any) -> bytes:
        """The content of the file of a new export."""
        answer = self.ask(kind, format_, **body)
        assert answer.status_code == 202, answer.text
        self.work()
        found = self.status(answer.json()["id"])
        assert found.state == "ready", found.error
        assert found.file is not None
        return FileStore(self.installation.settings.effective_files_url).read(found.file)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query, which names the organization as `:own`."""
        return self.installation.rows(query, own=self.organization)
