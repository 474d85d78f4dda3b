"""The API assembled: its addresses, their access rules, and the answers to errors."""

import datetime as dt
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

import dagster as dg
import sqlalchemy as sa
from fastapi import FastAPI

from marketing_pipelines.api import (
    actions,
    answers,
    events,
    exports,
    health,
    hooks,
    jobs,
    messages,
    notifications,
    queues,
    recipients,
    subscriptions,
    tasks,
    tracking,
    webhooks,
)
from marketing_pipelines.api.admission import Admission
from marketing_pipelines.api.cookies import Signer
from marketing_pipelines.api.hosts import KnownHosts, OwnHosts, is_loopback
from marketing_pipelines.api.limits import Limits
from marketing_pipelines.api.pages import actions as action_pages
from marketing_pipelines.api.pages import briefs as brief_pages
from marketing_pipelines.api.pages import connections as connection_pages
from marketing_pipelines.api.pages import delivery as delivery_pages
from marketing_pipelines.api.pages import door
from marketing_pipelines.api.pages import exports as export_pages
from marketing_pipelines.api.pages import queues as queue_pages
from marketing_pipelines.api.pages import routes as pages
from marketing_pipelines.api.pages import sheets as sheet_pages
from marketing_pipelines.api.pages import webhooks as webhook_pages
from marketing_pipelines.api.rates import Rates
from marketing_pipelines.api.site import Site
from marketing_pipelines.domains import load_tasks
from marketing_pipelines.secret_keys import secret_key
from marketing_pipelines.settings import Settings

if TYPE_CHECKING:
    from httpx2 import BaseTransport

ROUTERS = (
    health.router,
    jobs.router,
    queues.router,
    hooks.router,
    messages.router,
    events.router,
    subscriptions.router,
    tasks.router,
    actions.router,
    notifications.router,
    recipients.router,
    tracking.router,
    exports.router,
    exports.public,
    webhooks.router,
    door.router,
    pages.router,
    queue_pages.router,
    brief_pages.router,
    connection_pages.router,
    sheet_pages.router,
    delivery_pages.router,
    export_pages.router,
    action_pages.router,
    webhook_pages.router,
)


def utc_now() -> dt.datetime:
    """The clock of an installation."""
    return dt.datetime.now(dt.UTC)


def build_app(
    *,
    settings: Settings,
    engine: sa.Engine,
    instance: dg.DagsterInstance,
    now: Callable[[], dt.datetime] = utc_now,
    host: str | None = None,
    transport: "BaseTransport | None" = None,
) -> FastAPI:
    """The application that `marketing-pipelines api` serves.

    Its description is at `/openapi.json`; pages for people below `/admin` are not part of it.

    Args:
        host: Address it listens on. On loopback, requests under an unknown name are refused:
            beyond it a token is all that opens an address.
        transport: HTTP transport of requests to others; None: the usual one.
    """
    load_tasks()
    site = Site(settings, engine, instance, Signer(secret_key(settings)), now, transport=transport)
    app = FastAPI(
        title="marketing-pipelines",
        version=version("marketing-pipelines"),
        docs_url=None,
        redoc_url=None,
    )
    app.state.site = site
    for router in ROUTERS:
        app.include_router(router)
    answers.install(app)
    longer = {f"{hooks.HOOKS}/": hooks.MAX_BODY_BYTES, events.EVENTS: events.MAX_BODY_BYTES}
    app.add_middleware(Limits, longer=longer)
    app.add_middleware(Rates, now=now)
    app.add_middleware(Admission, site=site)
    if host is not None and is_loopback(host):
        app.add_middleware(OwnHosts, hosts=KnownHosts(host, settings.public_urls))
    return app
