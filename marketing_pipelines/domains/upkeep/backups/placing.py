"""The files of a backup put back into lake, files and reports."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from marketing_pipelines.domains.exports.reading import EXPORTS_FOLDER
from marketing_pipelines.domains.inbox.raw_files import RAW_MAIL
from marketing_pipelines.domains.upkeep.backups.contents import (
    FILES_BETWEEN_WORDS,
    LAKE,
    MAIL,
    Say,
)
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.backups import (
    BackedUpFile,
    Backup,
    BackupStore,
    copy_hashed,
    hash_of,
    object_path,
)
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.lake import TABLE, Lake


@dataclass
class PutBack:
    """The result of putting files back.

    Attributes:
        damaged: Paths whose object is missing or damaged.
        damaged_hours: The hours of the lake among them.
    """

    count: int = 0
    damaged: list[str] = field(default_factory=list)
    damaged_hours: list[dt.datetime] = field(default_factory=list)


class Places:
    """The stores that the files of a backup belong to."""

    def __init__(self, settings: Settings) -> None:
        self._lake = Lake(settings.effective_lake_url)
        self._lake_files = FileStore(settings.effective_lake_url, "MARKETING_LAKE_URL")
        self._mail = FileStore(settings.effective_files_url)
        self._reports = FileStore.of_reports(settings)

    def require_empty(self) -> None:
        """Refuses a lake, raw mail and exports: they may be of another installation.

        Raises:
            BadInputError: there are such files.
        """
        for what, setting, files, folders in (
            ("event lake", "MARKETING_LAKE_URL", self._lake_files, (TABLE,)),
            ("store of files", "MARKETING_FILES_URL", self._mail, (RAW_MAIL, EXPORTS_FOLDER)),
        ):
            found = (file for folder in folders for file in files.files(folder))
            if (first := next(found, None)) is not None:
                raise BadInputError(
                    f"The {what} at {files.url} is not empty, its first file is {first.path}: set "
                    f"{setting} to another folder, or give --replace to lose what it holds."
                )

    def remove_foreign_files(self, files: Iterable[BackedUpFile]) -> None:
        """Removes the files of the lake, and the raw mail, that are not the backup's.

        Exports whose rows are gone are removed by `upkeep/old_files`.
        """
        kept: dict[str, set[str]] = {LAKE: set(), MAIL: set()}
        for entry in files:
            if entry.kind in kept:
                kept[entry.kind].add(self._place(entry)[1])
        for kind, store, folder in ((LAKE, self._lake_files, TABLE), (MAIL, self._mail, RAW_MAIL)):
            for file in list(store.files(folder)):
                if file.path not in kept[kind]:
                    store.remove(file.path)

    def put_back(self, store: BackupStore, backup: Backup, say: Say) -> PutBack:
        """Writes the files of a backup that are not there yet; damaged ones are left out."""
        done = PutBack()
        for entry in store.listed(backup):
            files, path = self._place(entry)
            if not self._is_there(files, path, entry) and not _copy(store, entry, files, path):
                # A file of the former state is none of this one.
                files.remove(path)
                done.damaged.append(f"{entry.kind} {entry.path}")
                if entry.kind == LAKE:
                    done.damaged_hours.append(dt.datetime.fromisoformat(entry.path))
            done.count += 1
            if done.count % FILES_BETWEEN_WORDS == 0:
                say(f"{done.count:,} of {backup.file_count:,} files")
        return done

    def _place(self, entry: BackedUpFile) -> tuple[FileStore, str]:
        if entry.kind == LAKE:
            hour = dt.datetime.fromisoformat(entry.path)
            return self._lake_files, self._lake.path(hour).removeprefix(f"{self._lake.root}/")
        return (self._mail if entry.kind == MAIL else self._reports), entry.path

    def _is_there(self, files: FileStore, path: str, entry: BackedUpFile) -> bool:
        if files.size(path) != entry.size:
            return False
        with files.reading(path) as file:
            return hash_of(file) == entry.object


class _DamagedError(Exception):
    """The object's content is not the one of its name."""


def _copy(store: BackupStore, entry: BackedUpFile, files: FileStore, path: str) -> bool:
    """Copies an object to its place; False: it is missing or damaged, and nothing was written."""
    if store.files.size(object_path(entry.object)) != entry.size:
        return False
    try:
        with (
            files.writing(path) as target,
            store.files.reading(object_path(entry.object)) as source,
        ):
            if copy_hashed(source, target)[0] != entry.object:
                raise _DamagedError
    except (_DamagedError, FileNotFoundError):
        return False
    return True
