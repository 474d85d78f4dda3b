"""The removal of backups that are no longer kept, of unfinished ones, and of unused objects.

A running backup needs objects that no `backup.json` names yet. Its `started.json` is there before
it looks at the first object, so while one of another server is there, no object is removed. A
backup looks at its objects once more before its `backup.json` is written. While the list of a
backup cannot be read, no object is removed either: it may be one of that backup.
"""

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines import installation_settings
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.stores.backup_days import days_kept
from marketing_pipelines.stores.backups import (
    BACKUPS,
    OBJECTS,
    STARTED,
    BackupStore,
    damaged_until,
    is_id,
    object_path,
    read_started,
)

BATCH = 500
# A backup of another server that began so long ago counts as dead.
LONGEST_BACKUP = dt.timedelta(days=2)


@dataclass(frozen=True)
class RemovedBackups:
    """Numbers of removed backups and objects.

    Attributes:
        damaged: Backups that stay, and whose `backup.json` or list of files cannot be read.
    """

    backups: int = 0
    objects: int = 0
    damaged: tuple[str, ...] = ()


def server_identity(connection: sa.Connection) -> str:
    """The identity of this database on this server, which a restored copy does not share."""
    return str(
        connection.execute(
            sa.text(
                "select system_identifier || '/' || (select oid from pg_database"
                " where datname = current_database()) from pg_control_system()"
            )
        ).scalar_one()
    )


def remove_unfinished(store: BackupStore, server: str, now: dt.datetime) -> int:
    """Removes unfinished backups of dead processes; returns how many.

    Args:
        server: Identity of this database, whose backups the caller's lock excludes.
    """
    # A folder with another name is of somebody else.
    ours = [backup_id for backup_id in _unfinished(store) if is_id(backup_id)]
    dead = [one for one in ours if not _is_running(store, one, server, now)]
    for backup_id in dead:
        store.remove(backup_id)
    if not _others_run(store, server, now):
        # Not all of the store: an erasure may be writing its file.
        for folder in (BACKUPS, OBJECTS):
            store.files.remove_unfinished(folder)
    return len(dead)


def remove_old(store: BackupStore, zone: ZoneInfo, server: str, now: dt.datetime) -> RemovedBackups:
    """Removes the backups that are no longer kept, then the objects that none names."""
    keep, today = installation_settings.backup().keep, now.astimezone(zone).date()
    backups, damaged = store.readable()
    kept = days_kept({one.id: one.taken_at for one in backups}, zone, keep)
    old = [one.id for one in backups if one.id not in kept]
    old += [name for name in damaged if damaged_until(name, zone, keep) <= today]
    for backup_id in old:
        store.remove(backup_id)
    damaged = [name for name in damaged if name not in old]
    unused = set(store.objects())
    for backup in backups:
        if backup.id in kept:
            try:
                unused -= {bytes.fromhex(entry.object) for entry in store.listed(backup)}
            except BadInputError:
                damaged.append(backup.id)
    if damaged or _others_run(store, server, now):
        return RemovedBackups(len(old), damaged=tuple(damaged))
    removed = 0
    for digest in sorted(unused):
        if removed % BATCH == 0 and _others_run(store, server, now):
            break
        store.files.remove(object_path(digest.hex()))
        removed += 1
    return RemovedBackups(len(old), removed)


def _unfinished(store: BackupStore) -> list[str]:
    return [backup_id for backup_id, is_whole in store.ids().items() if not is_whole]


def _others_run(store: BackupStore, server: str, now: dt.datetime) -> bool:
    return any(_is_running(store, one, server, now) for one in _unfinished(store))


def _is_running(store: BackupStore, backup_id: str, server: str, now: dt.datetime) -> bool:
    """Returns true if an unfinished backup may be one that another server is taking."""
    try:
        started = read_started(store.files.read(f"{BACKUPS}/{backup_id}/{STARTED}"))
    except FileNotFoundError:
        return False
    return started is not None and started[0] != server and now - started[1] < LONGEST_BACKUP
