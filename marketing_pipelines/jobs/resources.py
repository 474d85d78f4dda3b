"""Dagster resources of assets: the stores and the engine, each opened at first use."""

import contextlib
from collections.abc import Iterator
from typing import Any

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines.engines.choice import open_engine
from marketing_pipelines.engines.protocol import Engine
from marketing_pipelines.runs.frame import open_tick
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines.stores.lake import Lake
from marketing_pipelines.stores.postgres import connecting, create_engine, database_url
from marketing_pipelines.stores.schema import require_usable


class Postgres(dg.ConfigurableResource[Any]):
    """The operational database."""

    @property
    def settings(self) -> Settings:
        return get_settings()

    @property
    def engine(self) -> sa.Engine:
        return create_engine(database_url(self.settings))

    def tick(self, context: dg.AssetExecutionContext) -> contextlib.AbstractContextManager[Tick]:
        """The frame around an asset's work; see `runs.frame`."""
        return open_tick(self.engine, self.settings.zone, context)

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A short transaction outside any run, for schedules and sensors."""
        engine = self.engine
        with connecting(engine.url), engine.connect() as connection:
            require_usable(connection, self.settings.zone)
            with connection.begin():
                yield connection


class EventLake(dg.ConfigurableResource[Any]):
    """The event lake and the engine that reads it."""

    def open(self) -> Lake:
        """The lake of this installation."""
        return Lake(get_settings().effective_lake_url)

    @contextlib.contextmanager
    def engine(self) -> Iterator[Engine]:
        """The configured engine, closed afterwards."""
        settings = get_settings()
        lake = self.open()
        engine = open_engine(settings, None if lake.is_local else lake.filesystem)
        try:
            yield engine
        finally:
            engine.close()
