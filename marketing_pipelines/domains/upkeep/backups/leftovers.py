"""Folders and databases that killed verifications and restores left."""

import datetime as dt

from marketing_pipelines.domains.upkeep.backups.databases import RestoreServer, left_of
from marketing_pipelines.domains.upkeep.backups.restoring import places_by_server
from marketing_pipelines.domains.upkeep.backups.verifying import left_folder
from marketing_pipelines.settings import Settings

DAYS = 1


def left(settings: Settings) -> dict[str, dt.datetime]:
    """The folders and databases that are left, with the instant since which each is there.

    Those of a restore or verification that goes on are among them.

    Raises:
        StoreUnavailableError: a server does not answer.
    """
    found = {}
    with left_folder(settings) as folder:
        if folder is not None:
            found[f"folder {folder.path}"] = folder.since
    for on_one in places_by_server(settings):
        for place in on_one:
            found |= {f"database {name}": since for name, since in left_of(place).items()}
    return found


def remove_left(settings: Settings, instant: dt.datetime, *, dry_run: bool) -> list[str]:
    """Removes, or only names, leftovers older than a day at an instant.

    Raises:
        StoreUnavailableError: a server does not answer, or a restore is under way.
    """
    before = instant - dt.timedelta(days=DAYS)
    removed = []
    with left_folder(settings) as folder:
        if folder is not None and folder.since < before:
            removed.append(f"folder {folder.path}")
            if not dry_run:
                folder.remove()
    for on_one in places_by_server(settings):
        old = [name for place in on_one for name, since in left_of(place).items() if since < before]
        removed += [f"database {name}" for name in old]
        if old and not dry_run:
            with RestoreServer.of(on_one) as server:
                for name in old:
                    server.drop(name)
    return removed
