"""A database of this release's schema on a server of its own, for comparing and describing."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines.stores.schema import migrate


@contextlib.contextmanager
def migrated_database() -> Iterator[sa.Connection]:
    """A connection to a freshly migrated database; server and data are gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        embedded = EmbeddedPostgres(Path(folder) / "data")
        with embedded.using():
            settings = Settings(database_url=embedded.url("marketing"))
            url = database_url(settings)
            migrate(url, settings, compare_zone=False)
            with create_engine(url).connect() as connection:
                yield connection
        # As root the cluster lies outside the data folder.
        shutil.rmtree(embedded.pgdata.parent)
