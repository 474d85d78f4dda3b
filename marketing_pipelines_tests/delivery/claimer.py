"""A process that claims mails as of `NOW` until none is left: `python -m ….claimer SIZE`."""

import sys
from zoneinfo import ZoneInfo

from marketing_pipelines.domains.delivery.claiming import claim
from marketing_pipelines.domains.delivery.sending import LEASE
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.delivery.world import NOW

if __name__ == "__main__":
    engine = create_engine(database_url(get_settings()), pool_size=1)
    judged = True
    while judged:
        with engine.begin() as connection:
            judged = bool(
                claim(
                    connection,
                    "email",
                    limit=int(sys.argv[1]),
                    lease=LEASE,
                    now=NOW,
                    zone=ZoneInfo("UTC"),
                ).judged
            )
