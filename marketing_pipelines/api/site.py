"""Resources that every address of the API works with."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import dagster as dg
import sqlalchemy as sa
from fastapi import Depends, Request

from marketing_pipelines.api.cookies import Signer
from marketing_pipelines.settings import Settings

if TYPE_CHECKING:
    from httpx2 import BaseTransport


@dataclass(frozen=True)
class Front:
    """A site with a sign-in of its own.

    Attributes:
        cookie: Name of the cookie that stands for a sign-in.
        home: The page after signing in; the cookie is sent to the addresses below it.
    """

    cookie: str
    home: str


ADMIN = Front("marketing_admin", "/admin")
UI = Front("marketing_ui", "/")


@dataclass(frozen=True)
class Site:
    """One installation as the API sees it.

    Attributes:
        now: Returns the present time; fixed in tests.
        front: The pages to which users sign in here.
        transport: HTTP transport of requests to others; None: the usual one.
    """

    settings: Settings
    engine: sa.Engine
    instance: dg.DagsterInstance
    signer: Signer
    now: Callable[[], dt.datetime]
    front: Front = ADMIN
    transport: "BaseTransport | None" = None


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


Here = Annotated[Site, Depends(_site)]
