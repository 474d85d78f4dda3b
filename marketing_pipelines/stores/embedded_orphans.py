"""Clusters of root in the system's state directory, and orphans without a data folder.

As root a cluster lies outside its data folder, so that deleting the folder leaves it behind.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.stores import embedded_home
from marketing_pipelines.stores.embedded_server import end, lines, server_of


@dataclass(frozen=True)
class Cluster:
    """One cluster in the state directory.

    Attributes:
        data_dir: The data folder that it was last used by.
        is_orphan: That folder is gone, moved, or has another cluster by now.
    """

    folder: Path
    data_dir: Path
    is_orphan: bool
    version: int | None
    size_bytes: int
    running: bool


def clusters() -> list[Cluster]:
    """Every cluster there; none where the directory is missing or not ours to read."""
    try:
        folders = sorted(embedded_home.STATE_DIR.iterdir())
    except OSError:
        return []
    return [_cluster(folder) for folder in folders if (folder / "data_dir").is_file()]


def destroy(folder: Path) -> Cluster:
    """Removes an orphan with its server.

    Args:
        folder: Its folder, whole or the last part of it, or the data folder that it was of.

    Raises:
        ConfigurationError: it is no cluster of the state directory, or a data folder uses it.
    """
    found = _named(folder)
    if found is None:
        raise ConfigurationError(
            f"'{folder}' is no cluster in {embedded_home.STATE_DIR} and no data folder of one: "
            "`marketing-pipelines db list` names them."
        )
    if not found.is_orphan:
        raise ConfigurationError(
            f"'{found.folder}' is the database of '{found.data_dir}': delete that folder first."
        )
    if server := server_of(found.folder / "postgres"):
        end(server, immediately=True)
    shutil.rmtree(found.folder)
    return found


def _named(folder: Path) -> Cluster | None:
    """The cluster of a folder; of several of a data folder, an orphan."""
    own = folder if folder.is_absolute() else embedded_home.STATE_DIR / folder
    known = [one for one in clusters() if own == one.folder or folder.absolute() == one.data_dir]
    return min(known, key=lambda one: (one.folder != own, not one.is_orphan), default=None)


def _cluster(folder: Path) -> Cluster:
    data_dir = Path((lines(folder / "data_dir") or [""])[0])
    pgdata = folder / "postgres"
    return Cluster(
        folder=folder,
        data_dir=data_dir,
        is_orphan=lines(data_dir / "postgres.location") != [str(folder)],
        version=embedded_home.stored_major(pgdata),
        size_bytes=embedded_home.size_bytes(folder),
        running=server_of(pgdata) is not None,
    )
