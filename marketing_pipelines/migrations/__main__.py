"""`make migration`: writes the next migration from a freshly migrated database."""

import argparse

from marketing_pipelines.migrations.autogenerate import write_migration
from marketing_pipelines.stores.scratch import migrated_database


def main() -> None:
    """Compares the tables with a freshly migrated database on a server of its own."""
    parser = argparse.ArgumentParser(prog="python -m marketing_pipelines.migrations")
    parser.add_argument("name", help="lower-case words joined by underscores, e.g. add_scores")
    name = parser.parse_args().name
    with migrated_database() as connection:
        print(f"{write_migration(connection, name)} written; read it, then run `make docs`.")


if __name__ == "__main__":
    main()
