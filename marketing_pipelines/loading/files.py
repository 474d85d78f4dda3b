"""Opening an input file: its format, its progress, and one sentence for its errors."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from marketing_pipelines.failures import BadInputError

Format = Literal["csv", "json lines", "parquet"]
MAX_COLUMNS = 2_000
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_PARQUET_SUFFIXES = (".parquet", ".pq")


@dataclass(frozen=True)
class InputFile:
    """A file that exists and is not empty.

    Args:
        size: bytes on disk.
        compressed: it is gzip.
    """

    path: Path
    size: int
    format: Format
    compressed: bool


def inspect(path: Path) -> InputFile:
    """Looks at a file's name and first bytes.

    Raises:
        BadInputError: missing, unreadable, a folder, empty, or not what its name says.
    """
    try:
        if path.is_dir():
            raise BadInputError(f"{path} is a folder: name one file in it.")
        if path.exists() and not path.is_file():
            raise BadInputError(f"{path} is not a regular file: save its content to one first.")
        with path.open("rb") as file:
            start = file.read(4)
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise BadInputError(f"{path} does not exist.") from error
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.") from error
    if not start:
        raise BadInputError(f"{path} is empty.")
    compressed = start.startswith(_GZIP_MAGIC)
    if path.suffix.lower() == ".gz" and not compressed:
        raise BadInputError(f"{path} is named .gz but is not gzip.")
    return InputFile(path, size, _format(path, start), compressed)


def _format(path: Path, start: bytes) -> Format:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = next((each for each in reversed(suffixes) if each != ".gz"), "")
    if suffix in _PARQUET_SUFFIXES or start == _PARQUET_MAGIC:
        return "parquet"
    return "json lines" if suffix in _JSON_SUFFIXES else "csv"


@contextlib.contextmanager
def opened(source: InputFile) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file's bytes, uncompressed, and the raw file whose position is the progress.

    Raises:
        BadInputError: the compressed data turns out to be damaged or cut off.
    """
    with source.path.open("rb") as raw:
        try:
            if source.compressed:
                yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)), raw
            else:
                yield raw, raw
        except EOFError as error:
            raise BadInputError(
                f"{source.path} is cut off: the rows before the end are loaded; "
                "load a complete copy of it again."
            ) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise BadInputError(
                f"{source.path} is damaged gzip ({error}): the rows before the error are loaded; "
                "load an intact copy of it again."
            ) from error


def require_columns(path: Path, found: list[str], required: tuple[str, ...]) -> None:
    """Refuses a header that is unusable.

    Raises:
        BadInputError: a name is empty or repeated, a required column is missing, or there are more
            than `MAX_COLUMNS`.
    """
    if len(found) > MAX_COLUMNS:
        raise BadInputError(f"{path} has {len(found):,} columns, more than {MAX_COLUMNS:,}.")
    names: set[str] = set()
    for number, name in enumerate(found, start=1):
        if not name:
            raise BadInputError(f"{path}: column {number} has no name in the header.")
        if name in names:
            raise BadInputError(f"{path}: the header names the column '{name}' twice.")
        names.add(name)
    missing = [name for name in required if name not in found]
    if missing:
        shown = ", ".join(name[:60] for name in found[:40])
        raise BadInputError(f"{path} has no column {', '.join(missing)}: its columns are {shown}.")
