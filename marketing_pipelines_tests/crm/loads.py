"""Loads the files of contacts that are its arguments, one after the other."""

import sys
from pathlib import Path

from marketing_pipelines.loading import load_file
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine, database_url


def main(paths: list[str]) -> None:
    settings = get_settings()
    engine = create_engine(database_url(settings))
    for path in paths:
        result = load_file(engine, "contacts", Path(path), settings=settings)
        assert not result.rejected, path


if __name__ == "__main__":
    main(sys.argv[1:])
