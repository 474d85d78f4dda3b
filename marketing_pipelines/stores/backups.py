"""The backups of an installation, at `MARKETING_BACKUP_URL`.

```
installation                 identity of the installation whose backups these are
backups/{id}/started.json    written first: a backup that begins
backups/{id}/*.dump          the databases
backups/{id}/files.jsonl.gz  the files of the lake, raw mail and reports, a line each
backups/{id}/backup.json     written last: only with it the backup counts
objects/{sha256}             contents of files, each stored once for all backups
erasures/{id}.json           persons erased since; every restore applies them
```
"""

import datetime as dt
import gzip
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any
from zoneinfo import ZoneInfo

from marketing_pipelines import installation_settings
from marketing_pipelines.failures import BadInputError, ConfigurationError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.backup_days import age, removal_days
from marketing_pipelines.stores.files import FileStore

SETTING = "MARKETING_BACKUP_URL"
OWNER_FILE = "installation"
FINISHED, STARTED, FILES = "backup.json", "started.json", "files.jsonl.gz"
BACKUPS, OBJECTS = "backups", "objects"
CHUNK_BYTES = 1 << 20
REPORTED_BYTES = 256 << 20
ID_FORMAT = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"\d{8}T\d{6}Z(-\d+)?")


@dataclass(frozen=True)
class TableContent:
    """The rows of a table, and a sum of hashes of them that does not depend on their order."""

    rows: int
    hash: str


@dataclass(frozen=True)
class Dump:
    """One database of a backup.

    Attributes:
        file: Its name in the folder of the backup.
        server_version: As `server_version_num` of the server.
        tables: The content of each table, by schema and name.
    """

    file: str
    size: int
    sha256: str
    server_version: int
    tables: Mapping[str, TableContent]


@dataclass(frozen=True)
class BackedUpFile:
    """A file of a backup.

    Attributes:
        kind: `lake`, `mail` or `report`.
        path: Its place: the hour of the lake, else the path below the root of its store.
        object: SHA-256 of its content.
    """

    kind: str
    path: str
    object: str
    size: int


@dataclass(frozen=True)
class Backup:
    """The content of `backup.json`.

    Attributes:
        schema: Newest migration of the operational database.
        databases: `marketing` and `dagster`.
        files_sha256: Of the list of files.
        file_count: Files in the list.
        file_bytes: Their bytes together.
        replaced_hours: Hours of the lake whose file was replaced while it was copied, or was not
            there: a restore marks them stale.
        secret_keys: A text encrypted with each secret key that a value of the databases needs,
            the newest first.
    """

    id: str
    taken_at: dt.datetime
    release: str
    schema: str
    timezone: str
    installation: str
    analyst_attributes: bool
    databases: Mapping[str, Dump]
    files_sha256: str
    file_count: int
    file_bytes: int
    replaced_hours: list[str] = field(default_factory=list)
    secret_keys: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of its databases and files; other backups may share the files."""
        return self.file_bytes + sum(dump.size for dump in self.databases.values())

    def as_json(self) -> bytes:
        """As `backup.json` holds it."""
        values = asdict(self) | {"taken_at": self.taken_at.isoformat()}
        return json.dumps(values, indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Backup":
        """Reads `backup.json`; fields that a newer release added are passed over."""
        values = {k: v for k, v in json.loads(content).items() if k in cls.__annotations__}
        dumps = {
            name: Dump(
                **dump | {"tables": {k: TableContent(**v) for k, v in dump["tables"].items()}}
            )
            for name, dump in values["databases"].items()
        }
        taken_at = dt.datetime.fromisoformat(values["taken_at"])
        return cls(**values | {"databases": dumps, "taken_at": taken_at})


@dataclass(frozen=True)
class KeptBackup:
    """A backup that stays for now.

    Attributes:
        expires_at: The day on which it is removed, if one is made each day until then.
        is_damaged: True if its `backup.json` cannot be read.
    """

    id: str
    expires_at: dt.date
    is_damaged: bool = False


class BackupStore:
    """The folder or URL of the backups."""

    def __init__(self, files: FileStore) -> None:
        self.files = files

    @classmethod
    def of(cls, settings: Settings) -> "BackupStore":
        """The store of an installation.

        Raises:
            ConfigurationError: no URL is set, or it cannot be opened.
        """
        if settings.backup_url is None:
            raise ConfigurationError(
                f"{SETTING} is not set: set it to a folder on another disk or to a bucket such as "
                "s3://bucket/backups."
            )
        return cls(FileStore(settings.backup_url, SETTING))

    def claim(self, installation: uuid.UUID) -> None:
        """Writes the installation's identity into a store that has none.

        Raises:
            ConfigurationError: the store holds files of another installation or program.
            StoreUnavailableError: the store cannot be written.
        """
        try:
            owner = self.files.read(OWNER_FILE).decode().strip()
        except FileNotFoundError:
            self._require_no_others()
            self.files.write(OWNER_FILE, f"{installation}\n".encode())
            return
        if owner != str(installation):
            raise ConfigurationError(
                f"The backups at {self.files.url} are those of installation {owner} and this "
                f"database is {installation}: set {SETTING} to another folder."
            )

    def _require_no_others(self) -> None:
        """Refuses a store that nobody owns and in which there are files where backups lie."""
        for folder in (BACKUPS, OBJECTS):
            first = next(self.files.files(folder), None)
            if first is not None:
                raise ConfigurationError(
                    f"The store at {self.files.url} is no store of backups and holds {first.path}: "
                    f"set {SETTING} to an empty folder."
                )

    def ids(self) -> dict[str, bool]:
        """The backups by id, oldest first: True if it is whole.

        Raises:
            StoreUnavailableError: they cannot be listed.
        """
        found: dict[str, bool] = {}
        for file in self.files.files(BACKUPS):
            _, backup_id, *rest = file.path.split("/")
            found[backup_id] = found.get(backup_id, False) or rest == [FINISHED]
        return {name: found[name] for name in sorted(found, key=age)}

    def read(self, backup_id: str) -> Backup:
        """Returns a whole backup.

        Raises:
            BadInputError: there is no such backup, or it is not whole.
            StoreUnavailableError: it cannot be read.
        """
        try:
            return Backup.from_json(self.files.read(f"{BACKUPS}/{backup_id}/{FINISHED}"))
        except FileNotFoundError:
            whole = [name for name, is_whole in self.ids().items() if is_whole]
            known = f"the latest is {whole[-1]}" if whole else "there is none"
            raise BadInputError(
                f"There is no whole backup {backup_id} at {self.files.url}: {known}."
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInputError(
                f"backup.json of {backup_id} at {self.files.url} cannot be read "
                f"({type(error).__name__}): name another backup."
            ) from error

    def readable(self) -> tuple[list[Backup], list[str]]:
        """The whole backups, oldest first, and the ids of those whose `backup.json` is damaged.

        Raises:
            StoreUnavailableError: the store cannot be read.
        """
        backups, damaged = [], []
        for backup_id, is_whole in self.ids().items():
            if is_whole:
                try:
                    backups.append(self.read(backup_id))
                except BadInputError:
                    damaged.append(backup_id)
        return backups, damaged

    def latest(self) -> Backup | None:
        """The newest whole backup; None: there is none."""
        whole = [name for name, is_whole in self.ids().items() if is_whole]
        return self.read(whole[-1]) if whole else None

    def listed(self, backup: Backup) -> Iterator[BackedUpFile]:
        """The files of a backup, one at a time.

        Raises:
            BadInputError: the list is missing or another one than the backup says.
            StoreUnavailableError: it cannot be read.
        """
        path = f"{BACKUPS}/{backup.id}/{FILES}"
        try:
            with self.files.reading(path) as file:
                digest = hash_of(file)
            if digest != backup.files_sha256:
                raise BadInputError(f"{path} at {self.files.url} is not the file of its backup.")
            with self.files.reading(path) as file, gzip.open(file) as lines:
                for line in lines:
                    yield BackedUpFile(**json.loads(line))
        except FileNotFoundError:
            raise BadInputError(f"{path} at {self.files.url} is missing.") from None

    def objects(self) -> dict[bytes, int]:
        """Bytes of every stored object, by its SHA-256."""
        found: dict[bytes, int] = {}
        for file in self.files.files(OBJECTS):
            name = file.path.rsplit("/", 1)[-1]
            if len(name) == 64:
                found[bytes.fromhex(name)] = file.size
        return found

    def remove(self, backup_id: str) -> None:
        """Removes a backup; its `backup.json` goes first, so that a half one never counts."""
        folder = f"{BACKUPS}/{backup_id}"
        self.files.remove(f"{folder}/{FINISHED}")
        for file in list(self.files.files(folder)):
            self.files.remove(file.path)


def object_path(digest: str) -> str:
    """The path of an object in the store."""
    return f"{OBJECTS}/{digest}"


def copy_hashed(
    source: IO[bytes], target: IO[bytes], report: Callable[[str], None] | None = None
) -> tuple[str, int]:
    """Copies a stream in parts; returns the SHA-256 and the bytes of what was copied.

    Args:
        report: Gets the copied megabytes of a long stream now and then.
    """
    digest, size = hashlib.sha256(), 0
    while part := source.read(CHUNK_BYTES):
        digest.update(part)
        target.write(part)
        reported, size = size // REPORTED_BYTES, size + len(part)
        if report is not None and size // REPORTED_BYTES > reported:
            report(f"{size / 1e6:,.0f} MB")
    return digest.hexdigest(), size


def hash_of(source: IO[bytes]) -> str:
    """The SHA-256 of a stream, which is read in parts."""
    digest = hashlib.sha256()
    while part := source.read(CHUNK_BYTES):
        digest.update(part)
    return digest.hexdigest()


def is_id(name: str) -> bool:
    """Returns true if a folder is named as those of backups are."""
    return _ID.fullmatch(name) is not None


def damaged_until(
    backup_id: str, zone: ZoneInfo, keep: installation_settings.KeptBackups
) -> dt.date:
    """The day on which a backup that cannot be read is removed, by the instant of its id.

    An id without an instant is of somebody who renamed its folder: that one stays.
    """
    try:
        taken_at = dt.datetime.strptime(f"{backup_id.partition('-')[0]}+0000", f"{ID_FORMAT}%z")
    except ValueError:
        return dt.date.max
    days = max(keep.daily, 7 * keep.weekly)
    return taken_at.astimezone(zone).date() + dt.timedelta(days=days)


def kept_backups(settings: Settings, now: dt.datetime) -> list[KeptBackup]:
    """The backups, oldest first, with the day on which each is removed; none without a URL.

    A backup that the next removal takes expires on the day that it was taken. Unfinished ones are
    left out.

    Args:
        now: Backups follow from this instant on.

    Raises:
        StoreUnavailableError: the store cannot be read.
    """
    if settings.backup_url is None:
        return []
    zone, keep = settings.zone, installation_settings.backup().keep
    backups, damaged = BackupStore.of(settings).readable()
    taken = {one.id: one.taken_at for one in backups}
    kept = [KeptBackup(name, day) for name, day in removal_days(taken, zone, keep, now).items()]
    kept += [KeptBackup(name, damaged_until(name, zone, keep), True) for name in damaged]
    return sorted(kept, key=lambda one: age(one.id))


def started_json(server: str, at: dt.datetime) -> bytes:
    """As `started.json` holds it: the database that takes the backup, and since when."""
    return json.dumps({"server": server, "started_at": at.isoformat()}).encode()


def read_started(content: bytes) -> tuple[str, dt.datetime] | None:
    """The database that takes a backup, and since when; None: the file cannot be read."""
    try:
        values: dict[str, Any] = json.loads(content)
        return str(values["server"]), dt.datetime.fromisoformat(values["started_at"])
    except (ValueError, KeyError, TypeError):
        return None
