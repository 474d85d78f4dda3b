"""What the tests of the queues share."""

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.queueing.installed import TABLE, install


@pytest.fixture
def queue(engine: sa.Engine) -> sa.Engine:
    """A fresh database with the table in which the domain for tests records its calls."""
    install()
    with engine.begin() as connection:
        connection.exec_driver_sql(TABLE)
    return engine
