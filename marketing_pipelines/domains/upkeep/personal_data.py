"""The data of a person as one file: what an erasure would delete or empty."""

import tempfile
from pathlib import Path

import sqlalchemy as sa

from marketing_pipelines.domains.exports.person import PersonRows, write_archive
from marketing_pipelines.failures import StoreUnavailableError
from marketing_pipelines.stores.files import TEMPORARY_PREFIX, FileStore


def write_zip(
    connection: sa.Connection, rows: PersonRows, store: FileStore, path: Path
) -> dict[str, int]:
    """Writes the archive that an export of the kind `contact` has, in JSON lines.

    It takes its place when it is whole, readable by its owner alone.

    Args:
        connection: In a transaction of one snapshot.
        store: Has the raw mails.

    Returns:
        Rows by table.

    Raises:
        StoreUnavailableError: the file cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
        temporary = Path(name)
        try:
            with open(handle, "wb") as file:
                counts = write_archive(file, "json", rows, connection, store, lambda _rows: None)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreUnavailableError(
            f"{path} cannot be written ({error.strerror or error}): name another --output."
        ) from error
    return counts
