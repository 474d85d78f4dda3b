"""Backups and restores compared with `pg_dump` and `pg_restore` alone, on the same databases."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from marketing_pipelines.domains.upkeep.backups.dumps import PostgresTools
from marketing_pipelines.domains.upkeep.backups.restoring import restore
from marketing_pipelines.domains.upkeep.backups.taking import take_backup
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines.stores.postgres import create_engine, libpq_uri
from marketing_pipelines_tests.benchmarks import segment_world
from marketing_pipelines_tests.benchmarks.report import Measured, Report
from marketing_pipelines_tests.benchmarks.sites import Server

MOST = 1.3


def measure(server: Server, report: Report, repeat: int, contacts: int) -> None:
    """Rounds of the four, in turn, so that all see the same machine."""
    site = server.new_site("backups")
    report.say(f"making {contacts:,} contacts and {10 * contacts:,} events")
    segment_world.build(site, contacts, 10 * contacts)
    site.settle()
    settings = _settings(site.folder, site.url, site.dagster_url)
    get_settings.cache_clear()
    sources = [make_url(site.url), make_url(site.dagster_url)]
    targets = [url.set(database=f"{url.database}_restored") for url in sources]
    tools = PostgresTools(settings)
    engine = create_engine(make_url(site.url).set(drivername="postgresql+psycopg"))

    def take() -> object:
        return take_backup(engine, settings, segment_world.NOW, say=_quiet)

    seconds: dict[str, list[float]] = {"dump": [], "take": [], "bare": [], "restore": []}
    for _ in range(repeat):
        seconds["dump"].append(_timed(lambda: _bare_dump(tools, sources, site.folder)))
        seconds["take"].append(_timed(take))
        seconds["bare"].append(_timed(lambda: _bare_restore(tools, targets, site.folder)))
        latest = max(path.name for path in (site.folder / "backups" / "backups").iterdir())
        target = settings.model_copy(
            update={
                "database_url": libpq_uri(targets[0]),
                "dagster_database_url": libpq_uri(targets[1]),
                "data_dir": site.folder / "restored",
            }
        )
        seconds["restore"].append(
            _timed(lambda: restore(target, latest, replace=True, now=segment_world.NOW, say=_quiet))  # noqa: B023
        )
    size = sum(path.stat().st_size for path in site.folder.glob("*.bare"))
    add = report.add
    add(
        Measured("pg_dump -Fc of both databases", seconds["dump"], "s", note=f"{size / 1e6:.0f} MB")
    )
    add(Measured("backup", seconds["take"], "s", note="with rows and hashes of all tables"))
    ratios = [a / b for a, b in zip(seconds["take"], seconds["dump"], strict=True)]
    add(Measured("backup : pg_dump", ratios, "×", MOST))
    add(Measured("pg_restore of both databases", seconds["bare"], "s"))
    add(Measured("restore", seconds["restore"], "s", note="ready for use, everything stopped"))
    ratios = [a / b for a, b in zip(seconds["restore"], seconds["bare"], strict=True)]
    add(Measured("restore : pg_restore", ratios, "×", MOST))


def _settings(folder: Path, url: str, dagster_url: str) -> Settings:
    return Settings(
        data_dir=folder,
        database_url=url,
        dagster_database_url=dagster_url,
        backup_url=str(folder / "backups"),
    )


def _timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _quiet(_line: str) -> None:
    """Takes lines of progress and prints none."""


def _bare_dump(tools: PostgresTools, urls: Sequence[URL], folder: Path) -> None:
    for number, url in enumerate(urls):
        command = [tools.folder / "pg_dump", "-Fc", "-f", folder / f"{number}.bare"]
        subprocess.run([*command, f"--dbname={libpq_uri(url)}"], check=True)


def _bare_restore(tools: PostgresTools, urls: Sequence[URL], folder: Path) -> None:
    for number, url in enumerate(urls):
        maintenance = url.set(drivername="postgresql+psycopg", database="postgres")
        with create_engine(maintenance).connect() as connection:
            own = connection.execution_options(isolation_level="AUTOCOMMIT")
            own.exec_driver_sql(f'drop database if exists "{url.database}"')
            own.exec_driver_sql(f'create database "{url.database}"')
        command = [tools.folder / "pg_restore", "--no-owner", folder / f"{number}.bare"]
        subprocess.run([*command, f"--dbname={libpq_uri(url)}"], check=True)
