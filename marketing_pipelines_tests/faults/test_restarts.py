"""Fault 7: PostgreSQL is restarted again and again while jobs work."""

import datetime as dt
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.cli.session import connected
from marketing_pipelines.cli.up import Server
from marketing_pipelines.failures import MarketingPipelinesError
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.faults.running import Running
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import assert_counted, count, event, stored
from marketing_pipelines_tests.scale import SOAK, soak_only
from marketing_pipelines_tests.waiting import until

SECONDS, PAUSE, MOST_RESTARTS = (600, (5.0, 40.0), 1_000) if SOAK else (2, (0.5, 1.5), 2)
HOURS, BATCHES = (24 * 5, 40) if SOAK else (3, 2)
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
ROWS = [
    event(
        n,
        (START + dt.timedelta(hours=n % HOURS, minutes=7)).isoformat(),
        contact_id=f"c{n % 7}",
    )
    for n in range(HOURS * 4)
]

pytestmark = [pytest.mark.fault, pytest.mark.soak, pytest.mark.timeout(SECONDS + 1_500)]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The server of an installation that has one of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MARKETING_")]:
            patch.delenv(name)
        patch.setenv("MARKETING_DATA_DIR", str(tmp_path_factory.mktemp("restarted") / "data"))
        get_settings.cache_clear()
        embedded = EmbeddedPostgres.of(get_settings())
        yield embedded
        home = embedded.pgdata.parent
        embedded.stop(force=True)
    get_settings.cache_clear()
    shutil.rmtree(home, ignore_errors=True)


@contextmanager
def again_and_again(work: Callable[[], Any]) -> Iterator[None]:
    """A thread that works until the block ends."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def restarts(embedded: EmbeddedPostgres, seed: int) -> Iterator[list[str]]:
    """Crashes the server, or stops it in order, after pauses that the seed chooses."""
    choose, done = random.Random(seed), list[str]()

    def end_it() -> None:
        time.sleep(choose.uniform(*PAUSE))
        if len(done) == MOST_RESTARTS:
            return
        number = (signal.SIGQUIT, signal.SIGINT)[len(done) % 2]
        pid = embedded.status().pid
        if pid is not None:
            os.kill(pid, number)
            done.append(number.name)

    with again_and_again(end_it):
        yield done


def went_well(work: Callable[[], Any]) -> bool:
    """Returns true once work ended well; what a restart ended is done again, and counts once."""
    try:
        work()
    except (sa.exc.DBAPIError, MarketingPipelinesError, OSError) as error:
        print(f"done again: {error}")
        return False
    return True


def load_all(installation: Installation, folder: Path, work: Callable[[], Any]) -> None:
    """Loads every event, and some again, while the server is restarted; works in between."""
    folder.mkdir()
    batches = [ROWS[n::BATCHES] for n in range(BATCHES)]
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=SECONDS)
    waiting = batches.copy()
    while waiting or dt.datetime.now(dt.UTC) < deadline:
        batch = waiting.pop(0) if waiting else random.Random(1).choice(batches)
        until(
            lambda b=batch: went_well(lambda: installation.load_events(folder, b)),
            seconds=120,
            what="a load",
        )
        went_well(work)


def assert_every_event_is_stored_once(installation: Installation) -> None:
    assert installation.rows("select count(*)::int from analytics.contact_activity") == [
        (len(ROWS),)
    ]


@pytest.mark.fault(7)
def test_fault_7_a_job_does_everything_once_while_postgresql_is_restarted(
    embedded: EmbeddedPostgres, tmp_path: Path
) -> None:
    """The server is started again as by `up`, the job by hand."""
    first, last = (f"{START + dt.timedelta(hours=n):%Y-%m-%d-%H}:00" for n in (0, HOURS - 1))
    with connected() as (settings, engine), Installation.open(settings, engine) as installation:

        def work() -> None:
            installation.run("analytics/contact_activity", first, last)

        with again_and_again(lambda: (Server(settings).keep_running(), time.sleep(0.1))):
            with restarts(embedded, seed=7) as done:
                load_all(installation, tmp_path / "events", work)
            until(lambda: went_well(work), what="the job to end well")
        assert done == ["SIGQUIT", "SIGINT"]
        assert stored(installation, "hour") == count(ROWS, "hour")
        assert_every_event_is_stored_once(installation)
        assert installation.rows("select 1 from ops.job_sessions where status = 'RUNNING'") == []


def test_up_says_once_why_postgresql_does_not_start_and_goes_on_when_it_does(
    embedded: EmbeddedPostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    with embedded.using(), broken(embedded):
        server = Server(get_settings())
        server.keep_running()
        server.keep_running()
        said = capsys.readouterr().out
        assert said.startswith("up: PostgreSQL did not start: FATAL:")
        assert said.count("PostgreSQL did not start") == 1
    server.keep_running()
    assert capsys.readouterr().out == "up: PostgreSQL runs again\n"
    assert embedded.status().running


@soak_only
def test_fault_7_postgresql_restarted_again_and_again_loses_and_repeats_nothing(
    embedded: EmbeddedPostgres, tmp_path: Path
) -> None:
    settings = get_settings()
    with Running.up() as running:
        with broken(embedded):
            until(lambda: running.said("PostgreSQL did not start: FATAL:"), what="up to say so")
        until(lambda: running.said("PostgreSQL runs again"), what="up to start it")
        assert sum("PostgreSQL did not start" in line for line in running.lines) == 1
        assert running.process.poll() is None
        engine = create_engine(database_url(settings))
        with Installation.open(settings, engine) as installation:
            with restarts(embedded, seed=7) as done:
                load_all(installation, tmp_path / "events", lambda: None)
            assert len(done) >= 1 + SECONDS // 40
            until(lambda: quiet(installation), seconds=900, what="the jobs to finish")
            assert_counted(installation, ROWS)
            assert_every_event_is_stored_once(installation)


@contextmanager
def broken(embedded: EmbeddedPostgres) -> Iterator[None]:
    """The server crashes, and cannot start until the block ends."""
    settings = embedded.pgdata / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("max_connections = 'broken'\n")
    pid = embedded.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGQUIT)
    until(lambda: embedded.status().pid is None, what="the server to end")
    try:
        yield
    finally:
        settings.write_text(before)


def quiet(installation: Installation) -> bool:
    """True once nothing is marked any more and no session works."""
    try:
        return not installation.rows(
            "select 1 from analytics.stale_partitions union all"
            " select 1 from ops.job_sessions where status = 'RUNNING'"
        )
    except sa.exc.OperationalError:  # the last restart is still under way
        return False
