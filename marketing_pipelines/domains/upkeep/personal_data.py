"""The data of a person as one file: what an erasure would delete or empty."""

import json
import tempfile
import zipfile
from pathlib import Path

import sqlalchemy as sa

from marketing_pipelines.failures import StoreUnavailableError
from marketing_pipelines.stores import persons
from marketing_pipelines.stores.files import TEMPORARY_PREFIX
from marketing_pipelines.stores.persons import Identity

ROWS_AT_ONCE = 1_000


def write_zip(connection: sa.Connection, person: Identity, path: Path) -> dict[str, int]:
    """Writes a zip with a file of JSON lines for each table that has rows of the person.

    It takes its place when it is whole, readable by its owner alone.

    Args:
        connection: In a transaction of one snapshot.

    Returns:
        Rows by table.

    Raises:
        StoreUnavailableError: the file cannot be written.
    """
    counts: dict[str, int] = {}
    try:
        handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
        temporary = Path(name)
        try:
            with (
                open(handle, "wb") as file,
                zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target,
            ):
                for table in persons.tables_about_persons(exported=True):
                    if number := _write_table(connection, table, person, target):
                        counts[table.fullname] = number
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreUnavailableError(
            f"{path} cannot be written ({error.strerror or error}): name another --output."
        ) from error
    return counts


def _write_table(
    connection: sa.Connection, table: sa.Table, person: Identity, target: zipfile.ZipFile
) -> int:
    query = persons.rows_of(table, person).execution_options(yield_per=ROWS_AT_ONCE)
    number = 0
    file = None
    try:
        for row in connection.execute(query):
            if file is None:
                file = target.open(f"{table.fullname}.json", "w")
            line = json.dumps(dict(row._mapping), default=str, ensure_ascii=False)
            file.write(f"{line}\n".encode())
            number += 1
    finally:
        if file is not None:
            file.close()
    return number
