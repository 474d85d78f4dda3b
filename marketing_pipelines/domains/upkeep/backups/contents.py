"""The files of a backup: those of the lake, raw mail and reports, stored by content."""

import datetime as dt
import gzip
import hashlib
import json
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.tables import lake_hours
from marketing_pipelines.domains.inbox.tables import email_messages
from marketing_pipelines.failures import BadInputError, StoreUnavailableError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.backups import (
    FILES,
    BackedUpFile,
    BackupStore,
    copy_hashed,
    hash_of,
    object_path,
)
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.lake import Lake

Say = Callable[[str], None]
Opening = Callable[[], AbstractContextManager[IO[bytes]]]
LAKE, MAIL, REPORT = "lake", "mail", "report"
# A file that is replaced so often while it is read is left out of this backup.
ATTEMPTS = 3
FILES_BETWEEN_WORDS = 1_000
STREAMED = {"yield_per": 1_000}


@dataclass(frozen=True)
class Found:
    """A file that belongs into a backup.

    Attributes:
        digest: SHA-256 that its content should have; None: that is not known.
    """

    kind: str
    path: str
    open: Opening
    digest: str | None


@dataclass
class Contents:
    """The result of copying: the list of files, and the hours that changed meanwhile."""

    sha256: str = ""
    count: int = 0
    size: int = 0
    new_objects: int = 0
    new_bytes: int = 0
    replaced_hours: list[str] = field(default_factory=list)
    missing: int = 0


class _OtherContentError(Exception):
    """The content is another than the digest under which it would be stored."""

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self.digest = digest


def copy_files(
    connection: sa.Connection, store: BackupStore, settings: Settings, folder: str, say: Say
) -> Contents:
    """Copies the files that the store does not have, and writes the list of all.

    Args:
        connection: In the snapshot that the dump has, too.
        folder: Folder of the backup.
        say: Gets a line of progress now and then.
    """
    stored = _usable_objects(store)
    done = Contents()
    with store.files.writing(f"{folder}/{FILES}") as file:
        hashing = _Hashing(file)
        with (
            gzip.GzipFile(fileobj=hashing, mode="wb", compresslevel=1, mtime=0) as lines,
            # A failure closes their cursors at once, while the connection is open.
            closing(_all_files(connection, settings)) as files,
        ):
            for found in files:
                entry = _stored(found, store, stored, done)
                if entry is None:
                    continue
                lines.write(json.dumps(asdict(entry)).encode() + b"\n")
                done.count += 1
                done.size += entry.size
                if done.count % FILES_BETWEEN_WORDS == 0:
                    say(f"{done.count:,} files, {done.new_objects:,} of them new")
        done.sha256 = hashing.hexdigest()
    return done


def missing_objects(store: BackupStore, folder: str) -> list[str]:
    """The objects that the list of a backup names and the store does not have, or not whole."""
    stored = store.objects()
    with store.files.reading(f"{folder}/{FILES}") as file, gzip.open(file) as lines:
        entries = (BackedUpFile(**json.loads(line)) for line in lines)
        return sorted(
            {one.object for one in entries if stored.get(bytes.fromhex(one.object)) != one.size}
        )


def _usable_objects(store: BackupStore) -> dict[bytes, int]:
    """The stored objects; one that is shorter than the latest backup says is copied again.

    If the latest backup cannot be read, all are.
    """
    stored = store.objects()
    try:
        latest = store.latest()
        for entry in () if latest is None else store.listed(latest):
            digest = bytes.fromhex(entry.object)
            if stored.get(digest, entry.size) != entry.size:
                del stored[digest]
    except BadInputError:
        return {}
    return stored


def _all_files(connection: sa.Connection, settings: Settings) -> Generator[Found, None, None]:
    yield from _lake_files(connection, Lake(settings.effective_lake_url))
    yield from _raw_mail(connection, FileStore(settings.effective_files_url))
    yield from _reports(FileStore.of_reports(settings))


def _lake_files(connection: sa.Connection, lake: Lake) -> Iterator[Found]:
    hours = sa.select(lake_hours).where(lake_hours.c.rows > 0).order_by(lake_hours.c.hour)
    with connection.execute(hours, execution_options=STREAMED) as rows:
        for row in rows:
            yield Found(LAKE, row.hour.isoformat(), _lake_file(lake, row.hour), row.content_hash)


def _lake_file(lake: Lake, hour: dt.datetime) -> Opening:
    return lambda: lake.filesystem.open(lake.path(hour), "rb")


def _raw_mail(connection: sa.Connection, files: FileStore) -> Iterator[Found]:
    paths = (
        sa.select(email_messages.c.raw_path)
        .where(email_messages.c.raw_path.is_not(None))
        .distinct()
        .order_by(email_messages.c.raw_path)
    )
    with connection.execute(paths, execution_options=STREAMED) as rows:
        for (path,) in rows:
            name = Path(path).stem
            yield Found(MAIL, path, _stored_file(files, path), name if len(name) == 64 else None)


def _stored_file(files: FileStore, path: str) -> Opening:
    return lambda: files.reading(path)


def _reports(files: FileStore) -> Iterator[Found]:
    for file in files.files():
        yield Found(REPORT, file.path, _stored_file(files, file.path), None)


def _stored(
    found: Found, store: BackupStore, stored: dict[bytes, int], done: Contents
) -> BackedUpFile | None:
    """The file as the backup names it; None: it is gone, or changes all the time."""
    try:
        digest = found.digest or _digest_of(found)
        for _ in range(ATTEMPTS):
            size = stored.get(bytes.fromhex(digest))
            try:
                if size is None:
                    size = _copy(found, digest, store)
                    stored[bytes.fromhex(digest)] = size
                    done.new_objects += 1
                    done.new_bytes += size
            except _OtherContentError as other:
                digest = other.digest
                continue
            if found.kind == LAKE and digest != found.digest:
                done.replaced_hours.append(found.path)
            return BackedUpFile(found.kind, found.path, digest, size)
    except FileNotFoundError:
        pass
    if found.kind == LAKE:
        done.replaced_hours.append(found.path)
    done.missing += 1
    return None


def _digest_of(found: Found) -> str:
    with _Source(found) as source:
        return hash_of(source)


def _copy(found: Found, digest: str, store: BackupStore) -> int:
    """Copies a file to the object of this digest; returns its bytes."""
    with store.files.writing(object_path(digest)) as target, _Source(found) as source:
        copied, size = copy_hashed(source, target)
        if copied != digest:
            raise _OtherContentError(copied)
    return size


class _Source:
    """A file that is read; its failures are not those of the store that is written meanwhile."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._context = found.open()

    def __enter__(self) -> Any:
        self._file = self._named(self._context.__enter__)
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(None, None, None)

    def read(self, size: int = -1) -> bytes:
        return bytes(self._named(self._file.read, size))

    def _named(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreUnavailableError(
                f"The {self._found.kind} file {self._found.path} cannot be read "
                f"({error.strerror or error}): repair or remove it."
            ) from error


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Nothing is buffered here."""

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
