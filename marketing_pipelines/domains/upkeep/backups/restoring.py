"""A restore: databases, lake and files as of a backup, with every effect stopped.

The databases are made next to the ones in place and renamed after migrations, erasures of rows and
stopped effects: no program ever sees a restored database that could still send. Until then nothing
in place has changed. The restored database carries a mark until files and lake are those of the
backup, too: a restore that is killed before the renaming has changed nothing, and one that is
killed after it leaves a database that refuses everything but the same restore, which begins anew.
"""

import contextlib
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL

from marketing_pipelines.domains import load_jobs
from marketing_pipelines.domains.analytics import warehouse
from marketing_pipelines.domains.analytics.lake_check import LakeCheck, mark_different
from marketing_pipelines.domains.upkeep.backups import effects
from marketing_pipelines.domains.upkeep.backups.contents import Say
from marketing_pipelines.domains.upkeep.backups.databases import DatabasePlace, RestoreServer
from marketing_pipelines.domains.upkeep.backups.dumps import PostgresTools
from marketing_pipelines.domains.upkeep.backups.effects import Held
from marketing_pipelines.domains.upkeep.backups.placing import Places, PutBack
from marketing_pipelines.domains.upkeep.backups.secrets import require_keys
from marketing_pipelines.domains.upkeep.backups.taking import DAGSTER, OPERATIONAL
from marketing_pipelines.domains.upkeep.erasing.restoring import (
    Replayed,
    apply_erasures,
    erase_files,
    require_ledger_key,
)
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import unfinished_restore
from marketing_pipelines.stores.backups import Backup, BackupStore
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.postgres import (
    create_engine,
    dagster_database_url,
    database_url,
)
from marketing_pipelines.stores.private import make_private
from marketing_pipelines.stores.schema import (
    grant_rights_of_reader,
    migrate,
    require_known_schema,
    show_attributes,
)
from marketing_pipelines.stores.tables import schema_files as applied_files
from marketing_pipelines.stores.unfinished_restore import UnfinishedRestore

REPLACED = "it was replaced while the backup was taken"
DAMAGED = "its object is missing or damaged"


@dataclass(frozen=True)
class Restored:
    """A finished restore.

    Attributes:
        held_file: The file that lists what is held, with the commands that release it.
        erased: Persons that were erased after the backup was taken.
        waiting: Sentences on stores that did not answer to their erasure; `upkeep/erasures` tries
            them again.
        failed: Sentences on persons that could not be erased: the database stays closed.
        stale_hours: Hours of the lake that are exported anew, with the reason.
    """

    backup: Backup
    held: list[Held]
    held_file: Path
    placed: PutBack
    erased: int
    waiting: Sequence[str]
    failed: Sequence[str]
    stale_hours: Mapping[dt.datetime, str]


def restore(
    settings: Settings,
    backup_id: str,
    *,
    replace: bool,
    lost_key: bool = False,
    now: dt.datetime,
    say: Say,
) -> Restored:
    """Restores a backup into this installation, whose server runs.

    Args:
        replace: True if databases, a lake and files that are not empty are lost.
        lost_key: True if the secrets of the backup are given up.
        say: Gets a line at the begin of each step, and lines of progress.

    Raises:
        BadInputError: there is no such backup, it is damaged, or the target is not empty.
        ConfigurationError: a setting must be changed first.
        StoreUnavailableError: a store fails, or others use the databases.
    """
    store = BackupStore.of(settings)
    backup = store.read(backup_id)
    require_usable(backup, settings)
    require_keys(backup, settings, lost=lost_key)
    require_ledger_key(settings)
    tools = PostgresTools(settings)
    for dump in backup.databases.values():
        tools.require_for(dump.server_version)
    load_jobs()
    places = Places(settings)
    with contextlib.ExitStack() as opened:
        servers = [
            opened.enter_context(RestoreServer.of(on_one)) for on_one in places_by_server(settings)
        ]
        begun = servers[0].unfinished(_operational(settings))
        mark = UnfinishedRestore(backup_id, replace)
        if begun is not None and begun.backup_id == backup_id:
            mark = changed(mark, replace=replace or begun.replace)
        # The databases of this restore itself may be there.
        is_free = mark.replace or (begun is not None and begun.backup_id == backup_id)
        for server in servers:
            server.require_usable(backup, replace=is_free)
        if not is_free:
            places.require_empty()
        for server in servers:
            for place in server.places:
                say(f"database {place.name}")
                server.restore(place, store, backup, tools, now, say)
        say("persons erased since, and effects that stop")
        url = _operational(settings).restoring
        bring_up_to_date(url, settings, backup)
        engine = create_engine(url)
        replayed = apply_erasures(engine, settings, now=now)
        with engine.begin() as connection:
            held = effects.stop_effects(connection, backup.id, now)
            unfinished_restore.mark(connection, changed(mark, failed=replayed.failed))
        engine.dispose()
        for server in servers:
            # Somebody may have used it meanwhile.
            server.require_usable(backup, replace=is_free)
        # The marked one first.
        for server in servers:
            say("databases take their place: " + ", ".join(one.database for one in server.places))
            server.swap(now)
        return _put_files_back(
            settings, store, backup, places, mark, replayed, held, now=now, say=say
        )


def _put_files_back(
    settings: Settings,
    store: BackupStore,
    backup: Backup,
    places: Places,
    mark: UnfinishedRestore,
    replayed: Replayed,
    held: list[Held],
    *,
    now: dt.datetime,
    say: Say,
) -> Restored:
    """Makes lake and files those of the databases, which carry the mark until the end."""
    engine = create_engine(database_url(settings))
    say(f"{backup.file_count:,} files")
    placed = places.put_back(store, backup, say)
    if mark.replace:
        say("files that are not of the backup")
        places.remove_foreign_files(store.listed(backup))
    # It is of what was there; the next run makes it anew.
    FileStore.of_warehouse(settings).remove(warehouse.PATH)
    say("files of persons erased since")
    failed, waiting = erase_files(engine, settings, replayed.erased, now=now)
    failed = [*replayed.failed, *failed]
    held_file = _write_held(settings, backup, held)
    stale = stale_hours(backup, placed)
    say("the last step")
    with engine.begin() as connection:
        mark_different(connection, LakeCheck(len(stale), 0, stale), now=now, zone=settings.zone)
        unfinished_restore.mark(connection, changed(mark, failed=failed) if failed else None)
    return Restored(backup, held, held_file, placed, len(replayed.erased), waiting, failed, stale)


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


def _write_held(settings: Settings, backup: Backup, held: Sequence[Held]) -> Path:
    """Writes what is held, with all commands that release it, into the data folder."""
    make_private(settings.data_dir)
    path = settings.data_dir / f"restored-{backup.id}.txt"
    lines = [line for one in held for line in (f"# {one.sentence}", *one.commands)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _operational(settings: Settings) -> DatabasePlace:
    return DatabasePlace(OPERATIONAL, database_url(settings))


def places_by_server(settings: Settings) -> list[list[DatabasePlace]]:
    """The places of each server, that of the operational database first."""
    dagster = DatabasePlace(
        DAGSTER, dagster_database_url(settings).set(drivername="postgresql+psycopg")
    )
    operational = _operational(settings)
    if dagster.server == operational.server:
        return [[operational, dagster]]
    return [[operational], [dagster]]
