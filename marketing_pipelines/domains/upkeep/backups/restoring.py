"""A restore: databases, lake and files as of a backup, with every effect stopped.

The databases are made next to the ones in place and renamed at the end, after migrations, erasures
and stopped effects: no program ever sees a restored database that could still send. A restore that
is killed leaves the databases in place as they were; it is begun again.
"""

import contextlib
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import URL

from marketing_pipelines.domains import load_jobs
from marketing_pipelines.domains.analytics.lake_check import LakeCheck, mark_different
from marketing_pipelines.domains.upkeep.backups import effects
from marketing_pipelines.domains.upkeep.backups.contents import Say
from marketing_pipelines.domains.upkeep.backups.databases import DatabasePlace, RestoreServer
from marketing_pipelines.domains.upkeep.backups.dumps import PostgresTools
from marketing_pipelines.domains.upkeep.backups.effects import Held
from marketing_pipelines.domains.upkeep.backups.placing import Places, PutBack
from marketing_pipelines.domains.upkeep.backups.taking import DAGSTER, OPERATIONAL
from marketing_pipelines.domains.upkeep.erasing.restoring import apply_erasures
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.backups import Backup, BackupStore
from marketing_pipelines.stores.postgres import (
    create_engine,
    dagster_database_url,
    database_url,
)
from marketing_pipelines.stores.schema import (
    grant_rights_of_reader,
    migrate,
    require_known_schema,
    show_attributes,
)
from marketing_pipelines.stores.tables import schema_files as applied_files

REPLACED = "it was replaced while the backup was taken"
DAMAGED = "its object is missing or damaged"


@dataclass(frozen=True)
class Restored:
    """A finished restore.

    Attributes:
        erased: Persons that were erased after the backup was taken.
        stale_hours: Hours of the lake that are exported anew, with the reason.
    """

    backup: Backup
    held: list[Held]
    placed: PutBack
    erased: int
    stale_hours: Mapping[dt.datetime, str]


def restore(
    settings: Settings, backup_id: str, *, replace: bool, now: dt.datetime, say: Say
) -> Restored:
    """Restores a backup into this installation, whose server runs.

    Args:
        replace: True if databases and a lake that are not empty are lost.

    Raises:
        BadInputError: there is no such backup, it is damaged, or the target is not empty.
        ConfigurationError: a setting must be changed first.
        StoreUnavailableError: a store fails, or others use the databases.
    """
    store = BackupStore.of(settings)
    backup = store.read(backup_id)
    require_usable(backup, settings)
    tools = PostgresTools(settings)
    for dump in backup.databases.values():
        tools.require_for(dump.server_version)
    load_jobs()
    places = Places(settings)
    with contextlib.ExitStack() as opened:
        servers = [
            opened.enter_context(RestoreServer.of(on_one)) for on_one in _by_server(settings)
        ]
        for server in servers:
            server.require_usable(backup, replace=replace)
        if not replace:
            places.require_empty_lake(store, backup)
        for server in servers:
            for place in server.places:
                say(f"database {place.name}")
                server.restore(place, store, backup, tools, say)
        say(f"{backup.file_count:,} files")
        placed = places.put_back(store, backup, say)
        url = _operational(settings).restoring
        bring_up_to_date(url, settings, backup)
        engine = create_engine(url)
        erased = apply_erasures(engine, settings, now=now)
        stale = stale_hours(backup, placed)
        with engine.begin() as connection:
            check = LakeCheck(len(stale), 0, stale)
            mark_different(connection, check, now=now, zone=settings.zone)
            held = effects.stop_effects(connection, backup.id, now)
        engine.dispose()
        for server in servers:
            # Somebody may have used it meanwhile.
            server.require_usable(backup, replace=replace)
        # Dagster's first: a kill in between leaves the operational database to be restored.
        for server in servers:
            server.swap()
    if replace:
        places.remove_foreign_files(store.listed(backup))
    # It is of what was there; the next run makes it anew.
    settings.warehouse_path.unlink(missing_ok=True)
    return Restored(backup, held, placed, erased, stale)


def require_usable(backup: Backup, settings: Settings) -> None:
    """Refuses a backup of a newer release, and of another reporting zone.

    Raises:
        ConfigurationError: it is one.
    """
    require_known_schema(backup.schema, f"The backup {backup.id}")
    if backup.timezone != settings.timezone:
        raise ConfigurationError(
            f"The days of the backup are those of {backup.timezone} and MARKETING_TIMEZONE is "
            f"{settings.timezone}: set it to {backup.timezone}."
        )


def bring_up_to_date(url: URL, settings: Settings, backup: Backup) -> None:
    """Grants the rights in a restored database, which its dump lacks, and migrates it."""
    engine = create_engine(url)
    with engine.begin() as connection:
        grant_rights_of_reader(connection)
        # The files of the schema give the other rights: all of them are applied again.
        connection.execute(sa.delete(applied_files))
    migrate(url, settings)
    with engine.connect() as connection:
        show_attributes(connection, allowed=backup.analyst_attributes)


def stale_hours(backup: Backup, placed: PutBack) -> dict[dt.datetime, str]:
    """The hours of the lake that are to be exported anew, with the reason."""
    replaced = [dt.datetime.fromisoformat(hour) for hour in backup.replaced_hours]
    return dict.fromkeys(replaced, REPLACED) | dict.fromkeys(placed.damaged_hours, DAMAGED)


def _operational(settings: Settings) -> DatabasePlace:
    return DatabasePlace(OPERATIONAL, database_url(settings))


def _by_server(settings: Settings) -> list[list[DatabasePlace]]:
    """The places of each server, Dagster's server first."""
    dagster = DatabasePlace(
        DAGSTER, dagster_database_url(settings).set(drivername="postgresql+psycopg")
    )
    operational = _operational(settings)
    if dagster.server == operational.server:
        return [[dagster, operational]]
    return [[dagster], [operational]]
