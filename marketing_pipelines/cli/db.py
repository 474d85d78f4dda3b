"""`migrate` and `db …`: the database by itself."""

from pathlib import Path
from typing import Annotated

import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected, dagster_environment, server_running
from marketing_pipelines.domains import load_jobs
from marketing_pipelines.domains.analytics import rebuild as analytics
from marketing_pipelines.domains.segments import rebuild as segments
from marketing_pipelines.env_file import remove_block, require_writable, write_block
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.locations import checkout
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores import embedded_orphans
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.postgres import create_engine, dagster_database_url, database_url
from marketing_pipelines.stores.schema import ensure_database
from marketing_pipelines.stores.schema import migrate as migrate_schema

app = typer.Typer(no_args_is_help=True)


def migrate(
    rebuild: Annotated[
        bool,
        typer.Option(help="Accept another MARKETING_TIMEZONE: count every day and month anew."),
    ] = False,
) -> None:
    """Bring the database to this release's schema."""
    settings = get_settings()
    with server_running(settings):
        url = database_url(settings)
        migrate_schema(url, settings, compare_zone=not rebuild)
        if rebuild:
            load_jobs()
            with create_engine(url).begin() as connection:
                analytics.count_anew(connection, settings)
                segments.count_anew(connection, settings)
        ensure_database(dagster_database_url(settings))
    print("The schema is current." + (" Days and months are marked." if rebuild else ""))


@app.command()
def start() -> None:
    """Start the embedded PostgreSQL and leave it running."""
    settings, embedded = get_settings(), _embedded()
    env_file = _env_file()
    if env_file:
        require_writable(env_file)
    embedded.start()
    with connected():
        pass
    print(f"PostgreSQL is running: {database_url(settings).render_as_string()}")
    if env_file:
        write_block(env_file, dagster_environment(settings))
        print(
            f"`dagster dev` and `dg dev` work in {env_file.parent} until "
            "`marketing-pipelines db stop`."
        )


@app.command()
def stop(
    force: Annotated[bool, typer.Option(help="Stop it even while other processes use it.")] = False,
) -> None:
    """Stop the embedded PostgreSQL."""
    _embedded().stop(force=force)
    if env_file := _env_file():
        remove_block(env_file)
    print("PostgreSQL is stopped.")


@app.command()
def status() -> None:
    """Print the state, place and size of the embedded PostgreSQL."""
    found = _embedded().status()
    print_table(
        ["what", "value"],
        [
            ["running", f"yes, process {found.pid}" if found.running else "no"],
            ["version", found.version or "no data yet"],
            ["data", f"{found.pgdata} ({found.size_bytes / 1e6:.0f} MB)"],
            ["socket", found.socket_dir],
        ],
    )


@app.command("list")
def list_clusters() -> None:
    """List the clusters that root's data folders have in the system's state directory."""
    print_table(
        ["folder", "data folder", "version", "MB", "state"],
        [
            [
                cluster.folder,
                cluster.data_dir,
                cluster.version,
                f"{cluster.size_bytes / 1e6:.0f}",
                ("orphan" if cluster.is_orphan else "in use")
                + (", running" if cluster.running else ""),
            ]
            for cluster in embedded_orphans.clusters()
        ],
    )


@app.command()
def destroy(
    folders: Annotated[
        list[Path], typer.Argument(help="Orphans, or their data folders, as `db list` names them.")
    ],
) -> None:
    """Delete clusters whose data folder is gone."""
    for folder in folders:
        gone = embedded_orphans.destroy(folder)
        print(f"{gone.folder} of {gone.data_dir} is deleted ({gone.size_bytes / 1e6:.0f} MB).")


@app.command()
def upgrade(
    old_binaries: Annotated[
        Path | None, typer.Option(help="Folder with the old version's postgres and pg_dumpall.")
    ] = None,
) -> None:
    """Move the data to this release's PostgreSQL by dump and restore."""
    _embedded().upgrade(old_binaries)
    print("The data is upgraded; the old folder is kept next to it.")


def _embedded() -> EmbeddedPostgres:
    settings = get_settings()
    if settings.database_url is not None:
        raise ConfigurationError(
            "MARKETING_DATABASE_URL names a server, so there is no embedded one: unset it, or use "
            "that server's own tools."
        )
    return EmbeddedPostgres.of(settings)


def _env_file() -> Path | None:
    """The file that Dagster's own commands read in a checkout; a wheel has none."""
    folder = checkout()
    return folder / ".env" if folder else None
