"""Files in a folder or at an fsspec URL: those of people, runs and workers, and backups.

A file is there whole or not at all: in a folder it is written next to its place and moved there, in
an object store it is one put or one finished upload. A reader sees the old content or the new one.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from marketing_pipelines.failures import StoreUnavailableError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.file_systems import open_file_system
from marketing_pipelines.stores.private import make_private

TEMPORARY_PREFIX = ".writing-"


@dataclass(frozen=True)
class StoredFile:
    """A file of a store: its path below the store's root, and its bytes."""

    path: str
    size: int


class FileStore:
    """The files at a folder or an fsspec URL."""

    def __init__(self, url: str, setting: str = "MARKETING_FILES_URL") -> None:
        """The files at a URL; nothing is touched yet.

        Args:
            setting: The variable that holds the URL, for errors.

        Raises:
            ConfigurationError: no installed package knows its protocol.
        """
        found = open_file_system(url, setting)
        self.url = url
        self._setting = setting
        self._filesystem = found.client
        self._root = found.root
        self._is_local = found.is_local

    @classmethod
    def of_reports(cls, settings: Settings, kind: str = "") -> "FileStore":
        """The reports of a kind, such as `campaigns`, or of all kinds."""
        return cls(f"{settings.reports_url}/{kind}".rstrip("/"), _setting_of_files(settings))

    @classmethod
    def of_warehouse(cls, settings: Settings) -> "FileStore":
        """The place of `warehouse.duckdb`."""
        return cls(settings.warehouse_url, _setting_of_files(settings))

    @property
    def folder(self) -> Path | None:
        """The folder of this machine; None: the files are in another store."""
        return Path(self._root) if self._is_local else None

    def place(self, path: str) -> str:
        """A file's path on this machine, or its URL."""
        place = self._place(path)
        return place if self._is_local else str(self._filesystem.unstrip_protocol(place))

    def write(self, path: str, content: bytes) -> None:
        """Writes a file; one that is there stays.

        Raises:
            StoreUnavailableError: it cannot be written.
        """
        if not self._is_local or not Path(self._place(path)).exists():
            self.replace(path, content)

    def replace(self, path: str, content: bytes) -> None:
        """Writes a file, also where one is there.

        Raises:
            StoreUnavailableError: it cannot be written.
        """
        if self._is_local:
            with self.writing(path) as file:
                file.write(content)
            return
        with self._failures_named(), _place_there():
            self._filesystem.pipe_file(self._place(path), content)

    @contextlib.contextmanager
    def making(self, path: str) -> Iterator[Path]:
        """A file of this machine to write; it takes its place when the block ends without an error.

        Raises:
            StoreUnavailableError: it cannot be written.
        """
        place = self._place(path)
        with self._failures_named():
            if self._is_local:
                with _made_and_moved(Path(self._root), Path(place)) as temporary:
                    yield temporary
                return
            with tempfile.TemporaryDirectory() as folder:
                made = Path(folder, Path(path).name)
                yield made
                with _place_there():
                    self._filesystem.put_file(str(made), place)

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        """A file to write in parts; it takes its place when the block ends without an error.

        Raises:
            StoreUnavailableError: it cannot be written.
        """
        place = self._place(path)
        with self._failures_named():
            opened = _written_and_moved(Path(self._root), Path(place))
            with opened if self._is_local else _uploaded(self._filesystem, place) as file:
                yield file

    def read(self, path: str) -> bytes:
        """Returns the content of a file.

        Raises:
            FileNotFoundError: it is not there.
            StoreUnavailableError: it cannot be read.
        """
        with self._failures_named():
            return bytes(self._filesystem.cat_file(self._place(path)))

    @contextlib.contextmanager
    def reading(self, path: str) -> Iterator[IO[bytes]]:
        """A file to read in parts.

        Raises:
            FileNotFoundError: it is not there.
            StoreUnavailableError: it cannot be read.
        """
        with self._failures_named(), self._filesystem.open(self._place(path), "rb") as file:
            yield file

    def files(self, folder: str = "") -> Iterator[StoredFile]:
        """The files below a folder, by path; unfinished ones of a folder are left out.

        Raises:
            StoreUnavailableError: they cannot be listed.
        """
        with self._failures_named():
            # An object store's client would answer from the listing before.
            self._filesystem.invalidate_cache()
            found = self._filesystem.find(self._place(folder).rstrip("/"), detail=True)
        for place, about in sorted(found.items()):
            if not place.rsplit("/", 1)[-1].startswith(TEMPORARY_PREFIX):
                yield StoredFile(place.removeprefix(f"{self._root}/"), int(about["size"]))

    def size(self, path: str) -> int | None:
        """Returns the bytes of a file; None: it is not there.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        with self._failures_named():
            try:
                self._filesystem.invalidate_cache()
                return int(self._filesystem.info(self._place(path))["size"])
            except FileNotFoundError:
                return None

    def remove(self, path: str) -> None:
        """Removes a file, if it is there.

        Raises:
            StoreUnavailableError: it cannot be removed.
        """
        with self._failures_named(), contextlib.suppress(FileNotFoundError):
            self._filesystem.rm_file(self._place(path))

    def remove_unfinished(self, folder: str) -> int:
        """Removes files of killed writers below a folder of this machine; returns their number.

        No other may write there meanwhile.

        Raises:
            StoreUnavailableError: a file cannot be removed.
        """
        if not self._is_local:
            return 0
        with self._failures_named():
            found = list(Path(self._place(folder)).rglob(f"{TEMPORARY_PREFIX}*"))
            for path in found:
                path.unlink(missing_ok=True)
        return len(found)

    def clear(self, folder: str) -> None:
        """Removes a folder with its files, finished or not, of any process.

        Of an upload that a killed process left in an object store of the S3 kind, the parts go too;
        other stores drop such parts by themselves.

        Raises:
            StoreUnavailableError: it cannot be removed.
        """
        place = self._place(folder)
        with self._failures_named():
            if self._is_local:
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(place)
                return
            self._filesystem.invalidate_cache()
            for path in self._filesystem.find(place):
                self._filesystem.rm_file(path)
            if hasattr(self._filesystem, "list_multipart_uploads"):
                _abort_uploads(self._filesystem, f"{place}/")

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextlib.contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreUnavailableError(
                f"The files at {self.url} cannot be read or written ({error.strerror or error}): "
                f"check {self._setting}."
            ) from error


@contextlib.contextmanager
def _written_and_moved(root: Path, place: Path) -> Iterator[IO[bytes]]:
    with _made_and_moved(root, place) as temporary, temporary.open("wb") as file:
        yield file


@contextlib.contextmanager
def _made_and_moved(root: Path, place: Path) -> Iterator[Path]:
    make_private(root)
    # `parents=True` would make the folders in between readable by others.
    for folder in reversed(place.relative_to(root).parents[:-1]):
        (root / folder).mkdir(mode=0o700, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=place.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(place)
        _sync(place.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _uploaded(filesystem: Any, place: str) -> Iterator[IO[bytes]]:
    with _place_there():
        file = filesystem.open(place, "wb", autocommit=False)
    try:
        yield file
        with _place_there():
            file.close()
    except BaseException:
        file.discard()
        # Its end of life would close it, and that would finish the upload.
        with contextlib.suppress(AttributeError):
            file.closed = True
        raise
    with _place_there():
        file.commit()


@contextlib.contextmanager
def _place_there() -> Iterator[None]:
    """A missing bucket is a failure of the store; readers alone look for files that are gone."""
    try:
        yield
    except FileNotFoundError as error:
        raise OSError(str(error)) from error


def _abort_uploads(filesystem: Any, place: str) -> None:
    """Aborts the unfinished uploads below a place of an object store of the S3 kind."""
    bucket, prefix, _ = filesystem.split_path(place)
    found = filesystem.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
    for upload in found.get("Uploads", []):
        with contextlib.suppress(FileNotFoundError):
            filesystem.call_s3(
                "abort_multipart_upload",
                Bucket=bucket,
                Key=upload["Key"],
                UploadId=upload["UploadId"],
            )


def _setting_of_files(settings: Settings) -> str:
    return "MARKETING_DATA_DIR" if settings.files_url is None else "MARKETING_FILES_URL"


def _sync(path: Path) -> None:
    """Writes a file or the entries of a folder to the disk: a row never names a lost file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
