"""A process that claims mails as of `NOW` until none is left: `python -m ….claimer SIZE`."""

import sys
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.claiming import claim
from marketing_pipelines.domains.delivery.sending import LEASE
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.delivery.world import NOW


def claim_all(engine: sa.Engine, size: int) -> None:
    """Claims batches of this size, each committed."""
    judged = True
    while judged:
        with engine.begin() as connection:
            claimed = claim(
                connection, "email", limit=size, lease=LEASE, now=NOW, zone=ZoneInfo("UTC")
            )
        judged = bool(claimed.judged)


if __name__ == "__main__":
    claim_all(create_engine(database_url(get_settings()), pool_size=1), int(sys.argv[1]))
