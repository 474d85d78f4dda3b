"""Moving a cluster of an older major version to this release's, by dump and restore.

The caller makes sure that no process uses or starts the cluster.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.stores.embedded_home import SUPERUSER, Home, stored_major
from marketing_pipelines.stores.embedded_server import ServerLog, end, launch, server_of


def refuse_other_major(home: Home) -> None:
    """Raises ConfigurationError where the data must be upgraded, or is newer than the server."""
    stored, own = stored_major(home.pgdata), home.major()
    if stored and stored != own:
        upgrade = "run `marketing-pipelines db upgrade`"
        newer = "install the release that made it, or name its PostgreSQL in MARKETING_POSTGRES_BIN"
        remedy = upgrade if stored < own else newer
        raise ConfigurationError(
            f"'{home.pgdata}' was made by PostgreSQL {stored} and this release runs {own}: "
            f"{remedy}."
        )


def upgrade_cluster(home: Home, log: ServerLog, old_binaries: Path | None) -> None:
    """Replaces the home's cluster; the old one stays next to it as `postgres.<major>.old`."""
    old, new = stored_major(home.pgdata), home.major()
    if old == new:
        return
    if old is None or old > new:
        raise ConfigurationError(f"'{home.pgdata}' holds nothing to upgrade to {new}.")
    kept, restored = home.folder / f"postgres.{old}.old", home.folder / "postgres.restored"
    if kept.exists():
        raise ConfigurationError(f"'{kept}' of an earlier upgrade exists: move it away.")
    _dump_and_restore(home, log, _binaries_of(old, old_binaries), restored)
    home.pgdata.rename(kept)
    restored.rename(home.pgdata)


def _dump_and_restore(home: Home, log: ServerLog, old_binaries: Path, restored: Path) -> None:
    dump, partial = home.folder / "postgres.dump.sql", home.folder / "postgres.restoring"
    shutil.rmtree(restored, ignore_errors=True)
    shutil.rmtree(partial, ignore_errors=True)
    home.claim()
    login = ("-h", home.socket_dir, "-p", "5432", "-U", SUPERUSER)
    binaries = home.binaries()
    try:
        with _serving(home, log, old_binaries, home.pgdata), dump.open("wb") as out:
            dump.chmod(0o600)
            home.run(binaries / "pg_dumpall", *login, stdout=out)
        _spare_superuser(dump)
        home.initialise(partial)
        with _serving(home, log, binaries, partial), dump.open("rb") as sql:
            psql = ("-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres")
            home.run(binaries / "psql", *psql, *login, stdin=sql)
            home.run(binaries / "vacuumdb", "--all", "--analyze-only", "-q", *login)
        partial.rename(restored)
    finally:
        dump.unlink(missing_ok=True)


@contextlib.contextmanager
def _serving(home: Home, log: ServerLog, binaries: Path, pgdata: Path) -> Iterator[None]:
    if running := server_of(pgdata):
        end(running)
    server = launch(binaries, pgdata, home.socket_dir, log, **home.child_options())
    try:
        yield
    finally:
        end(server)


def _binaries_of(major: int, given: Path | None) -> Path:
    binaries = given or Path(f"/usr/lib/postgresql/{major}/bin")
    if not (binaries / "postgres").is_file():
        raise ConfigurationError(
            f"PostgreSQL {major} is not in '{binaries}': pass --old-binaries with its bin folder."
        )
    return binaries


def _spare_superuser(dump: Path) -> None:
    """Blank the statement that creates a role which every new cluster already has."""
    statement = f"CREATE ROLE {SUPERUSER};".encode()
    with dump.open("r+b") as file:
        start = 0
        while (line := file.readline()) and not line.startswith(b"\\connect"):
            if line.rstrip() == statement:
                file.seek(start)
                file.write(b"--".ljust(len(statement)))
                return
            start = file.tell()
