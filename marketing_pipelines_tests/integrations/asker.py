"""A process that prints the access token of a grant: `python -m …asker NAME`."""

import subprocess
import sys

from marketing_pipelines.domains.integrations import connections
from marketing_pipelines.domains.integrations.grants import access_token
from marketing_pipelines.domains.integrations.providers import OAUTH
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.forking import Forked


def started(name: str) -> Forked:
    """The process."""
    return Forked(__name__, name, stdout=subprocess.PIPE)


def main() -> None:
    """Asks once."""
    with create_engine(database_url(get_settings())).connect() as connection:
        found = connections.all_of(connection, OAUTH)
    [grant] = [one for one in found if one.external_id == sys.argv[1]]
    print(access_token(get_settings(), grant))


if __name__ == "__main__":
    main()
