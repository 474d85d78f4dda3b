"""Addresses for monitors: no token, nothing but numbers and names of jobs."""

from typing import Literal

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import BaseModel

from marketing_pipelines.api.answers import refusals
from marketing_pipelines.api.site import Here

router = APIRouter(tags=["health"])


class Live(BaseModel):
    """The process answers."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """The process can do its work."""

    status: Literal["ready"] = "ready"


@router.get("/health/live", responses=refusals(400, 413))
def live() -> Live:
    """Whether the process answers; it asks nobody."""
    return Live()


@router.get("/health/ready", responses=refusals(400, 413, 503))
def ready(site: Here) -> Ready:
    """Whether the database answers, too."""
    with site.engine.connect() as connection:
        connection.execute(sa.select(1))
    return Ready()
