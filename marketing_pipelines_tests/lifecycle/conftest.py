"""A database that the tests of a file share, and an organization in it for each of them."""

import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.emptying import Databases
from marketing_pipelines_tests.lifecycle.world import ProgramWorld


@pytest.fixture(scope="module")
def shared_engine(reused_databases: Databases) -> Iterator[sa.Engine]:
    """An engine on one migrated database."""
    with reused_databases.one() as url:
        engine = create_engine(database_url(Settings(database_url=url)), pool_size=5)
        yield engine
        engine.dispose()


@pytest.fixture
def world(shared_engine: sa.Engine) -> Iterator[ProgramWorld]:
    """A new organization; nothing of it is moved after the test."""
    world = ProgramWorld(shared_engine, name=uuid.uuid4().hex)
    yield world
    world.retire()
