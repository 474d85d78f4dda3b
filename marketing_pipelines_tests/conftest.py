"""One real PostgreSQL for the whole test run, a fresh database for every test that asks for one."""

import contextlib
import gc
import os
import shutil
import signal
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from dagster_postgres import (
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)

from marketing_pipelines.cli.session import dagster_environment
from marketing_pipelines.domains import load_tasks
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.embedded_home import unprivileged_account
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines.stores.schema import migrate
from marketing_pipelines_tests.emptying import EMPTY, Databases, Reused
from marketing_pipelines_tests.few_partitions import FIRST_DAY
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.phases import Phases
from marketing_pipelines_tests.programs import Programs
from marketing_pipelines_tests.queueing.installed import TABLE, install
from marketing_pipelines_tests.retrying import retry_at_once
from marketing_pipelines_tests.scale import SOAK

TEMPLATE = "marketing_template"
DAGSTER_TEMPLATE = "dagster_template"
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts programs in the background. Dagster would give SIGTERM the same treatment,
    # and processes of the tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The server that all workers of this test run share; the last one stops it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    embedded = EmbeddedPostgres(shared / "server")
    with embedded.using():
        with _exclusively(embedded):
            _make_templates(embedded)
        yield embedded
    if embedded.status().running:
        return
    shutil.rmtree(_memory_folder(embedded), ignore_errors=True)
    home = embedded.pgdata.parent
    if home.parent.name == "marketing-pipelines":
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def new_database(server: EmbeddedPostgres) -> Iterator[Any]:
    """Makes databases from a template; they are gone after the test."""
    with databases(server) as make:
        yield make


@contextlib.contextmanager
def databases(server: EmbeddedPostgres) -> Iterator[Any]:
    """Makes databases from a template; they are gone at the end."""
    made: list[str] = []

    def make(template: str = TEMPLATE) -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        with _maintenance(server) as connection:
            connection.execute(f"create database {name} template {template} strategy file_copy")
        made.append(name)
        return server.url(name)

    yield make
    with _maintenance(server) as connection:
        for name in made:
            connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def dagster_database(server: EmbeddedPostgres) -> Iterator[Reused]:
    """The one database for Dagster's storage that the tests of this worker use in turn."""
    with databases(server) as make:
        database = Reused(make(DAGSTER_TEMPLATE))
        yield database
        database.close()


@pytest.fixture(scope="session")
def reused_databases(server: EmbeddedPostgres) -> Iterator[Databases]:
    """The databases that the tests of this worker use in turn."""
    reused = Databases(lambda: new_one(server))
    yield reused
    reused.close()


@contextlib.contextmanager
def new_one(server: EmbeddedPostgres) -> Iterator[str]:
    """Makes one database; it is gone at the end."""
    with databases(server) as make:
        yield make()


@pytest.fixture
def environment(
    reused_databases: Databases,
    dagster_database: Reused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[dict[str, str]]:
    """MARKETING_* variables of a fresh installation, set for this process and for children."""
    with reused_databases.one() as url:
        yield set_environment(url, dagster_database, tmp_path, monkeypatch)
        get_settings.cache_clear()
    dagster_database.empty()


def set_environment(
    url: str, dagster_database: Reused, folder: Path, patch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Sets them; the one who undoes it clears the cache of the settings and Dagster's storage."""
    variables = {
        "MARKETING_DATABASE_URL": url,
        "MARKETING_DAGSTER_DATABASE_URL": dagster_database.url,
        "MARKETING_DATA_DIR": str(folder / "data"),
        "MARKETING_TIMEZONE": "UTC",
    }
    for name in [name for name in os.environ if name.startswith("MARKETING_")]:
        patch.delenv(name)
    for name, value in variables.items():
        patch.setenv(name, value)
    get_settings.cache_clear()
    for name, value in dagster_environment(get_settings()).items():
        patch.setenv(name, value)
    return variables


@pytest.fixture
def engine(environment: dict[str, str]) -> sa.Engine:
    """An engine on a fresh, migrated database, with a connection for each use as in a run."""
    return create_engine(database_url(get_settings()))


@pytest.fixture
def pooled_engine(environment: dict[str, str]) -> Iterator[sa.Engine]:
    """An engine on a fresh, migrated database that keeps its connections, as in a worker.

    What a new one reads from the catalogs is most of the server's work in tests.
    """
    engine = create_engine(database_url(get_settings()), pool_size=4)
    yield engine
    engine.dispose()


@pytest.fixture
def installation(pooled_engine: sa.Engine) -> Iterator[Installation]:
    """A fresh installation, worked in this process with Dagster's storage in memory."""
    with Installation.open(get_settings(), pooled_engine) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_installation(
    reused_databases: Databases,
    dagster_database: Reused,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    """One installation for all tests of a file."""
    with reused_databases.one() as url, pytest.MonkeyPatch.context() as patch:
        set_environment(url, dagster_database, tmp_path_factory.mktemp("shared"), patch)
        engine = create_engine(database_url(get_settings()), pool_size=4)
        with Installation.open(get_settings(), engine) as opened:
            yield opened
        engine.dispose()
    get_settings.cache_clear()
    dagster_database.empty()


@pytest.fixture
def emptied(shared_installation: Installation) -> Installation:
    """The installation that the tests of a file share, without rows and settings of those before.

    For tests that change rows alone: what they make of tables, triggers and files stays.
    """
    get_settings.cache_clear()
    with shared_installation.engine.begin() as connection:
        connection.exec_driver_sql(EMPTY)
    return shared_installation


@pytest.fixture
def programs(emptied: Installation) -> Programs:
    """An organization without programs and contacts, alone in its database."""
    load_tasks()
    return Programs(emptied)


@pytest.fixture
def queue(pooled_engine: sa.Engine) -> sa.Engine:
    """A fresh database with the table in which the domain for tests records its calls."""
    install()
    with pooled_engine.begin() as connection:
        connection.exec_driver_sql(TABLE)
    return pooled_engine


@pytest.fixture
def shared_data() -> Path:
    """The folder of sample data; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder of sample data is not here")
    return SHARED_DATA


def _make_templates(server: EmbeddedPostgres) -> None:
    with _maintenance(server) as connection:
        known = {row[0] for row in connection.execute("select datname from pg_database")}
        if DAGSTER_TEMPLATE in known:
            return
        # Tests kill clients, never the machine: waiting for the disk would prove nothing.
        settings = ["fsync", "synchronous_commit", "full_page_writes"]
        # Databases that last for seconds need no housekeeping; that of hundreds would take long.
        settings += [] if SOAK else ["autovacuum"]
        for setting in settings:
            connection.execute(f"alter system set {setting} = off")
        connection.execute("select pg_reload_conf()")
        tablespace = _make_tablespace(connection, _memory_folder(server))
        for name in (TEMPLATE, DAGSTER_TEMPLATE):
            connection.execute(f"create database {name} tablespace {tablespace}")
    settings = Settings(database_url=server.url(TEMPLATE))
    migrate(database_url(settings), settings)
    dagster_url = server.url(DAGSTER_TEMPLATE, driver="psycopg2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for storage in (PostgresRunStorage, PostgresEventLogStorage, PostgresScheduleStorage):
            storage(dagster_url, should_autocreate_tables=True).dispose()


def _memory_folder(server: EmbeddedPostgres) -> Path:
    """The folder in memory that holds the databases of tests of this server."""
    return Path("/dev/shm") / f"marketing-tests-{server.pgdata.parent.name}"  # noqa: S108


def _make_tablespace(connection: psycopg.Connection[Any], folder: Path) -> str:
    """Makes a tablespace in memory, where the machine has such a folder; returns its name.

    Copying a template is then ten times as fast on a machine whose disk has other work.
    """
    if not folder.parent.is_dir():
        return "pg_default"
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        account = unprivileged_account()
        os.chown(folder, account.pw_uid, account.pw_gid)
    connection.execute(f"create tablespace memory location '{folder}'")
    return "memory"


@contextlib.contextmanager
def _maintenance(server: EmbeddedPostgres) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        yield connection


@contextlib.contextmanager
def _exclusively(server: EmbeddedPostgres) -> Iterator[None]:
    """Workers that start at once prepare the templates one after the other."""
    with _maintenance(server) as connection:
        connection.execute("select pg_advisory_lock(1)")
        yield


def pytest_collection_finish() -> None:
    """Keeps the collector from walking through the modules and tests, which stay to the end.

    It looks seldom at what tests leave: memory suffices, and it took a twentieth of the time.
    """
    gc.freeze()
    gc.set_threshold(50_000)


def pytest_sessionstart() -> None:
    """Lets runs in this process try again at once."""
    retry_at_once()


def pytest_report_header() -> str:
    """Says which partitions the definitions have."""
    return f"partitions since {FIRST_DAY}"


def pytest_configure(config: pytest.Config) -> None:
    """Prints the time of each phase at the end of the run, in the controlling process only."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Phases(), "phases")
