"""The API of a fresh installation: its app, a client, tokens of every scope."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field

import dagster as dg
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from marketing_pipelines.api import tokens
from marketing_pipelines.api.app import build_app
from marketing_pipelines.cli.session import dagster_instance
from marketing_pipelines_tests.api.hook_signing import Signer
from marketing_pipelines_tests.emptying import Reused
from marketing_pipelines_tests.installation import Installation

CRON_SECRET = "a secret for external schedulers"  # noqa: S105
NOW = dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.UTC)


@dataclass
class Api:
    """The app in this process, asked as over HTTP; its clock stands still."""

    installation: Installation
    instance: dg.DagsterInstance
    app: FastAPI
    client: TestClient
    made: dict[str, str] = field(default_factory=dict)

    def bearer(self, scope: tokens.Scope) -> dict[str, str]:
        """The header that shows a token with this scope alone."""
        if scope not in self.made:
            with self.installation.engine.begin() as connection:
                self.made[scope] = tokens.create(connection, f"the {scope} token", [scope])
        return {"Authorization": f"Bearer {self.made[scope]}"}

    def audit(self) -> list[tuple[object, ...]]:
        """The audited requests with their answers, oldest first."""
        return self.installation.rows(
            "select actor, method, path, status from ops.audit_log order by id"
        )


@pytest.fixture
def instance(installation: Installation, dagster_database: Reused) -> Iterator[dg.DagsterInstance]:
    """Dagster's real storage, which a daemon shares."""
    with dagster_instance() as opened:
        yield opened
    dagster_database.empty()


@pytest.fixture
def api(installation: Installation, instance: dg.DagsterInstance) -> Api:
    """The API with a cron secret, keys of every provider and no token."""
    hooks = {name: key for name, key in Signer().settings.items() if name.startswith("hook_")}
    settings = installation.settings.model_copy(update={"cron_secret": CRON_SECRET, **hooks})
    app = build_app(
        settings=settings, engine=installation.engine, instance=instance, now=lambda: NOW
    )
    return Api(installation, instance, app, TestClient(app, follow_redirects=False))
