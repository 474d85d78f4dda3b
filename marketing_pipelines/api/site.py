"""What every address of the API works with."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import dagster as dg
import sqlalchemy as sa
from fastapi import Depends, Request

from marketing_pipelines.api.pages.signing import Signer
from marketing_pipelines.settings import Settings


@dataclass(frozen=True)
class Site:
    """One installation as the API sees it.

    Attributes:
        now: The clock; a test's stands still.
    """

    settings: Settings
    engine: sa.Engine
    instance: dg.DagsterInstance
    signer: Signer
    now: Callable[[], dt.datetime]


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


Here = Annotated[Site, Depends(_site)]
