"""Dagster's web server behind the guard."""

from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import (
    DEFAULT_DB_STATEMENT_TIMEOUT,
    DEFAULT_POOL_MAX_OVERFLOW,
    DEFAULT_POOL_RECYCLE,
)
from dagster_webserver.version import __version__
from fastapi import FastAPI
from starlette.types import ASGIApp

from marketing_pipelines.api import answers
from marketing_pipelines.api.admission import Admission
from marketing_pipelines.api.app import utc_now
from marketing_pipelines.api.cookies import Signer
from marketing_pipelines.api.guard import UiGuard
from marketing_pipelines.api.hosts import KnownHosts, is_loopback
from marketing_pipelines.api.limits import Limits
from marketing_pipelines.api.pages import door
from marketing_pipelines.api.serving import serve
from marketing_pipelines.api.site import UI, Site
from marketing_pipelines.secret_keys import secret_key
from marketing_pipelines.settings import Settings


def serve_ui(
    *,
    settings: Settings,
    engine: sa.Engine,
    instance: dg.DagsterInstance,
    host: str,
    port: int,
    workspace: Path,
) -> None:
    """Serves Dagster's UI until SIGINT or SIGTERM.

    Args:
        workspace: The file that says where the code is.
    """
    # As `dagster-webserver` does: it takes no application around its own.
    instance.optimize_for_webserver(
        DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW
    )
    with WorkspaceProcessContext(
        instance,
        version=__version__,
        workspace_load_target=WorkspaceFileTarget([str(workspace)]),
        code_server_log_level="error",
    ) as loaded:
        app = create_app_from_workspace_process_context(loaded)
        serve(
            guarded(app, settings=settings, engine=engine, instance=instance, host=host),
            settings,
            host=host,
            port=port,
        )


def guarded(
    app: ASGIApp,
    *,
    settings: Settings,
    engine: sa.Engine,
    instance: dg.DagsterInstance,
    host: str,
) -> UiGuard:
    """Dagster's application behind its checks, for a server that listens on this host."""
    site = Site(settings, engine, instance, Signer(secret_key(settings)), utc_now, UI)
    pages = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    pages.state.site = site
    pages.include_router(door.router)
    answers.install(pages)
    pages.add_middleware(Limits)
    pages.add_middleware(Admission, site=site)
    return UiGuard(
        app,
        pages,
        site,
        KnownHosts(host, settings.public_urls),
        asks_for_sign_in(settings, host),
    )


def asks_for_sign_in(settings: Settings, host: str) -> bool:
    """Returns true if the UI needs a token: by the setting, or else beyond loopback."""
    return not is_loopback(host) if settings.ui_auth is None else settings.ui_auth
