"""Files that people and programs send, at `MARKETING_FILES_URL`: a folder or an fsspec URL.

A file is there whole or not at all: in a folder it is written next to its place and moved there, in
an object store it is one put. Names come from the content, so writing a file again changes nothing.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError
from marketing_pipelines.stores.private import make_private

TEMPORARY_PREFIX = ".writing-"


class FileStore:
    """The files at a folder or an fsspec URL."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self.url = url
        try:
            filesystem, root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(
                f"MARKETING_FILES_URL {url} cannot be opened ({error}): install the package of its "
                "protocol (s3fs, gcsfs, adlfs), or name a folder."
            ) from error
        self._filesystem: Any = filesystem
        self._root = str(root).rstrip("/")
        protocol = filesystem.protocol
        self._is_local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    @property
    def folder(self) -> Path | None:
        """The folder of this machine; None: the files are in another store."""
        return Path(self._root) if self._is_local else None

    def write(self, path: str, content: bytes) -> None:
        """Writes a file whose name comes from its content; one that is there stays.

        Raises:
            StoreUnavailableError: it cannot be written.
        """
        place = f"{self._root}/{path}"
        with self._failures_named():
            if not self._is_local:
                self._filesystem.pipe_file(place, content)
            elif not Path(place).exists():
                _write_and_move(Path(self._root), Path(place), content)

    def read(self, path: str) -> bytes:
        """Returns the content of a file.

        Raises:
            FileNotFoundError: it is not there.
            StoreUnavailableError: it cannot be read.
        """
        with self._failures_named():
            return bytes(self._filesystem.cat_file(f"{self._root}/{path}"))

    def remove(self, path: str) -> None:
        """Removes a file, if it is there.

        Raises:
            StoreUnavailableError: it cannot be removed.
        """
        with self._failures_named(), contextlib.suppress(FileNotFoundError):
            self._filesystem.rm_file(f"{self._root}/{path}")

    @contextlib.contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreUnavailableError(
                f"The files at {self.url} cannot be read or written ({error.strerror or error}): "
                "check MARKETING_FILES_URL."
            ) from error


def _write_and_move(root: Path, place: Path, content: bytes) -> None:
    make_private(root)
    # `parents=True` would make the folders in between readable by others.
    for folder in reversed(place.relative_to(root).parents[:-1]):
        (root / folder).mkdir(mode=0o700, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=place.parent)
    temporary = Path(name)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
        _sync(place.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Writes the entries of a folder to the disk, so that a row never names a file that is lost."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
