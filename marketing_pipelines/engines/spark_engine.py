"""Spark: started with the run, or a server of Spark Connect; the engine of several machines.

Sail, which speaks Connect too, leaves missing files out without an error, reads no values out of
the names of single files, and lacks `_metadata`: so the files that it found are counted, and the
layout's columns come from `occurred_at`.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from marketing_pipelines.engines.interruption import interruptibly
from marketing_pipelines.engines.memory import limit_mb
from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError

if TYPE_CHECKING:
    import pyarrow as pa

OLDEST_JAVA = 17
CONNECT_PORT = 15_002
# The instants of a file lie in its UTC hour, and the session's zone is UTC.
_LAYOUT = ("*", "CAST(occurred_at AS DATE) AS dt", "HOUR(occurred_at) AS hr")
_VERSION = re.compile(r'version "(\d+)')


class SparkEngine:
    """Reads the lake's files in place; results come back as Arrow.

    Args:
        remote: Address of a server of Spark Connect (`sc://…`); None: Spark of this process.
    """

    name = "spark"

    def __init__(self, remote: str | None) -> None:
        self._remote = remote
        self._session: Any = None

    def query(
        self, statement: str, files: Sequence[str], parameters: Mapping[str, Any]
    ) -> "pa.Table":
        """The result of the statement over exactly these files (at least one)."""
        session = self._connect()
        from pyspark.errors import ParseException, PySparkException

        def counted() -> "pa.Table":
            found = session.read.parquet(*files)
            _require_all(files, found.inputFiles())
            found.selectExpr(*_LAYOUT).createOrReplaceTempView("events")
            return session.sql(statement, args=dict(parameters)).toArrow()

        try:
            return interruptibly(counted, session.interruptAll)
        except ParseException:
            raise
        except PySparkException as error:
            raise StoreUnavailableError(
                f"Spark cannot count the event lake: {_first_line(error)}"
            ) from error

    def check(self) -> str:
        """Its version; asks the server of Connect, if there is one."""
        if self._remote is None:
            return f"PySpark {_pyspark().__version__}, Java {require_java()}"
        try:
            return f"PySpark {_pyspark().__version__}, Spark {self._connect().version} by Connect"
        finally:
            self.close()

    def close(self) -> None:
        """Ends the session and, of this process, Spark."""
        if self._session is not None:
            self._session.stop()
            self._session = None

    def _connect(self) -> Any:
        if self._session is None:
            _pyspark()
            if self._remote is None:
                require_java()
            from pyspark.errors import PySparkException

            try:
                session = _classic() if self._remote is None else _connected(self._remote)
                session.conf.set("spark.sql.session.timeZone", "UTC")
            except PySparkException as error:
                place = "MARKETING_SPARK_REMOTE" if self._remote else "SPARK_CONF_DIR and Java"
                raise StoreUnavailableError(
                    f"Spark does not start or answer ({_first_line(error)}): check {place}."
                ) from error
            self._session = session
        return self._session


def _connected(remote: str) -> Any:
    from pyspark.sql.connect.session import SparkSession

    _require_answer(remote)
    return SparkSession.builder.remote(remote).create()


def _classic() -> Any:
    from pyspark.sql.session import SparkSession

    # Its pages would be open to the network, without a sign-in.
    builder = SparkSession.builder.appName("marketing-pipelines").config("spark.ui.enabled", False)
    if limit_mb() is not None:
        builder = builder.config("spark.driver.memory", f"{limit_mb()}m")
    return builder.getOrCreate()


def _require_answer(remote: str) -> None:
    """Refuses at once a server at which nothing listens: the client would try for ten minutes."""
    server = urlsplit(remote)
    try:
        socket.create_connection((server.hostname, server.port or CONNECT_PORT), 10).close()
    except OSError as error:
        raise StoreUnavailableError(
            f"Spark does not answer at {server.hostname} ({error.strerror or error}): check "
            "MARKETING_SPARK_REMOTE."
        ) from error


def require_java() -> int:
    """The major version of the Java that Spark would start.

    Raises:
        ConfigurationError: there is none, or one that is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    if shutil.which(java) is None:
        raise ConfigurationError(
            f"MARKETING_ENGINE is spark, and {java} is missing: install Java {OLDEST_JAVA} or "
            "newer (JAVA_HOME names its folder), or set MARKETING_SPARK_REMOTE to a server of "
            "Spark Connect."
        )
    said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60).stderr
    version = _VERSION.search(said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        found = f"Java {version[1]}" if version else "no Java that tells its version"
        raise ConfigurationError(
            f"MARKETING_ENGINE is spark, and {java} is {found}: Spark needs "
            f"Java {OLDEST_JAVA} or newer."
        )
    return int(version[1])


@contextlib.contextmanager
def _main_file() -> Iterator[None]:
    """Gives a main module without a file, as in spawned processes, one for the time of an import.

    PySpark takes such a process for one of its doctests and ends it.
    """
    main = sys.modules["__main__"]
    if hasattr(main, "__file__"):
        yield
        return
    main.__file__ = sys.executable
    try:
        yield
    finally:
        del main.__file__


def _pyspark() -> Any:
    try:
        with warnings.catch_warnings():
            # Some of its functions give pandas' tables; none of them is used here.
            warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
            with _main_file():
                import pyspark
                import pyspark.sql.connect.session
    except ImportError as error:
        raise ConfigurationError(
            "MARKETING_ENGINE is spark, and PySpark is missing: install the extra, "
            "`pip install 'marketing-pipelines[spark]'`."
        ) from error
    return pyspark


def _require_all(files: Sequence[str], found: Sequence[str]) -> None:
    names = {_hour(path) for path in found}
    missing = [path for path in files if _hour(path) not in names]
    if missing:
        raise StoreUnavailableError(
            f"The event lake cannot be read: {len(missing)} of {len(files)} files are missing, "
            f"the first is {missing[0]}."
        )


def _hour(path: str) -> str:
    """The last three parts of a path, which name its hour; servers spell what precedes anew."""
    return "/".join(path.rsplit("/", 3)[1:]).replace("%3D", "=")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
