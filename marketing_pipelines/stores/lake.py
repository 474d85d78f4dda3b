"""The event lake: Parquet files, one per closed UTC hour that has events.

Layout `contact_activity/dt=YYYY-MM-DD/hr=HH/events.parquet`. A file is written next to its place
and moved there in one step; the manifest `analytics.lake_hours` says which files count.
"""

import contextlib
import datetime as dt
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError
from marketing_pipelines.stores.file_systems import open_file_system

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "contact_activity"
# The identity of the database whose manifest names the files.
OWNER_FILE = "installation"
TEMPORARY_PREFIX = ".writing-"
ROW_GROUP_ROWS = 262_144


def schema() -> "pa.Schema":
    """Columns of every file. Only nullable columns may ever be added, at the end."""
    import pyarrow as pa

    instant = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            pa.field("organization_id", pa.int64(), nullable=False),
            pa.field("event_id", pa.string(), nullable=False),
            pa.field("contact_id", pa.int64(), nullable=False),
            pa.field("event_type", pa.string(), nullable=False),
            pa.field("source_type", pa.string()),
            pa.field("source_id", pa.int64()),
            pa.field("occurred_at", instant, nullable=False),
            pa.field("received_at", instant, nullable=False),
            pa.field("machine_open", pa.bool_()),
            pa.field("properties", pa.string()),
        ]
    )


class Lake:
    """The lake at a folder or an fsspec URL."""

    def __init__(self, url: str) -> None:
        found = open_file_system(url, "MARKETING_LAKE_URL")
        self.url = url
        self.filesystem = found.client
        self.root = found.root
        self.is_local = found.is_local

    def path(self, hour: dt.datetime) -> str:
        """Returns the path of the hour's file, as the file system (not the URL) names it."""
        utc = hour.astimezone(dt.UTC)
        return f"{self.root}/{TABLE}/dt={utc:%Y-%m-%d}/hr={utc:%H}/events.parquet"

    def engine_path(self, hour: dt.datetime) -> str:
        """The same for an engine: a plain path, or a URL with its protocol."""
        path = self.path(hour)
        return path if self.is_local else str(self.filesystem.unstrip_protocol(path))

    @contextlib.contextmanager
    def new_file(self, hour: dt.datetime) -> Iterator["HourFile"]:
        """A file to write for an hour; thrown away unless `publish` is called."""
        with _unwritable_said(self.url):
            folder = Path(self.path(hour)).parent if self.is_local else None
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                # The writer of an hour holds its lock: a file here is of a killed process.
                for litter in folder.glob(f"{TEMPORARY_PREFIX}*"):
                    litter.unlink(missing_ok=True)
            handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=".parquet", dir=folder)
            os.close(handle)
            file = HourFile(self, hour, Path(name))
            try:
                yield file
            finally:
                file.discard()

    def exists(self, hour: dt.datetime) -> bool:
        """Returns true if the hour's file is at the place that the manifest expects."""
        return bool(self.filesystem.exists(self.path(hour)))

    def remove(self, hour: dt.datetime) -> None:
        """Deletes the file of an hour that the manifest says is empty."""
        with _unwritable_said(self.url), contextlib.suppress(FileNotFoundError):
            self.filesystem.rm_file(self.path(hour))

    def size(self) -> int:
        """Bytes of all files."""
        try:
            return int(self.filesystem.du(f"{self.root}/{TABLE}"))
        except FileNotFoundError:
            return 0

    def claim(self, installation_id: uuid.UUID) -> None:
        """Writes the database's identity into a lake that has none; one lake serves one database.

        Raises:
            ConfigurationError: the lake is another database's.
            StoreUnavailableError: it cannot be written.
        """
        path = f"{self.root}/{OWNER_FILE}"
        with _unwritable_said(self.url):
            try:
                owner = str(self.filesystem.cat_file(path).decode()).strip()
            except FileNotFoundError:
                self.filesystem.makedirs(self.root, exist_ok=True)
                self.filesystem.pipe_file(path, f"{installation_id}\n".encode())
                return
        if owner != str(installation_id):
            raise ConfigurationError(
                f"The event lake at {self.url} belongs to installation {owner} and this database "
                f"is {installation_id}: check MARKETING_LAKE_URL and MARKETING_DATABASE_URL, or "
                f"delete '{OWNER_FILE}' there to give the lake to this database."
            )

    def check_writable(self) -> None:
        """Writes and removes a file.

        Raises:
            StoreUnavailableError: that is not possible.
        """
        probe = f"{self.root}/.writable-{os.getpid()}"
        with _unwritable_said(self.url):
            self.filesystem.makedirs(self.root, exist_ok=True)
            self.filesystem.pipe_file(probe, b"")
            self.filesystem.rm_file(probe)


class HourFile:
    """One hour's file while it is written."""

    def __init__(self, lake: Lake, hour: dt.datetime, temporary: Path) -> None:
        import pyarrow.parquet as pq

        self.lake = lake
        self.hour = hour
        self.rows = 0
        self._temporary = temporary
        self._writer: Any = pq.ParquetWriter(
            temporary,
            schema(),
            compression="zstd",
            compression_level=1,
            use_dictionary=["event_type", "source_type", "source_id", "organization_id"],
            write_statistics=["occurred_at", "organization_id"],
        )

    def write(self, rows: "pa.Table") -> None:
        """Appends rows of the lake's schema."""
        self.rows += rows.num_rows
        self._writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)

    def close(self) -> str:
        """Finishes the file and returns the SHA-256 of its content."""
        self._writer.close()
        with self._temporary.open("rb") as file:
            os.fsync(file.fileno())
            return hashlib.file_digest(file, "sha256").hexdigest()

    def publish(self) -> None:
        """Moves the finished file into its place, replacing any file there."""
        path = self.lake.path(self.hour)
        if self.lake.is_local:
            self._temporary.replace(path)
        else:
            self.lake.filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            self.lake.filesystem.put_file(str(self._temporary), path)

    def discard(self) -> None:
        """Deletes the unpublished file."""
        with contextlib.suppress(Exception):
            self._writer.close()
        self._temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _unwritable_said(url: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreUnavailableError(
            f"The event lake at {url} cannot be written ({reason}): "
            "check MARKETING_LAKE_URL, its permissions and the free space there."
        ) from error
