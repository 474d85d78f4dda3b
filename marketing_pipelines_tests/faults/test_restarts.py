"""Fault 7: PostgreSQL is restarted again and again while jobs work."""

import datetime as dt
import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.faults.running import Running
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import assert_counted, event
from marketing_pipelines_tests.scale import SOAK
from marketing_pipelines_tests.waiting import until

SECONDS, PAUSE = (600, (5.0, 40.0)) if SOAK else (8, (2.0, 4.0))
HOURS, BATCHES = (24 * 5, 40) if SOAK else (6, 3)
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)

pytestmark = [pytest.mark.fault, pytest.mark.soak, pytest.mark.timeout(SECONDS + 1_500)]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An installation with a server of its own."""
    for name in [name for name in os.environ if name.startswith("MARKETING_")]:
        monkeypatch.delenv(name)
    variables = {"MARKETING_DATA_DIR": str(tmp_path / "data")}
    monkeypatch.setenv("MARKETING_DATA_DIR", variables["MARKETING_DATA_DIR"])
    get_settings.cache_clear()
    yield variables
    get_settings.cache_clear()


@contextmanager
def restarts(embedded: EmbeddedPostgres, seed: int) -> Iterator[list[str]]:
    """Crashes the server, or stops it in order, after pauses that the seed chooses."""
    choose, over, done = random.Random(seed), threading.Event(), list[str]()

    def work() -> None:
        while not over.wait(choose.uniform(*PAUSE)):
            number = choose.choice([signal.SIGQUIT, signal.SIGINT])
            pid = embedded.status().pid
            if pid is not None:
                os.kill(pid, number)
                done.append(number.name)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def load(settings: Settings, engine: sa.Engine, folder: Path, rows: list[dict[str, str]]) -> bool:
    """Whether the load ended well; what a restart ended is loaded again, and counts once."""
    try:
        with Installation.open(settings, engine) as installation:
            installation.load_events(folder, rows)
    except Exception as error:
        print(f"loaded again: {error}")
        return False
    return True


def test_fault_7_postgresql_restarted_again_and_again_loses_and_repeats_nothing(
    alone: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    rows = [
        event(
            n,
            (START + dt.timedelta(hours=n % HOURS, minutes=7)).isoformat(),
            contact_id=f"c{n % 7}",
        )
        for n in range(HOURS * 4)
    ]
    batches = [rows[n::BATCHES] for n in range(BATCHES)]
    settings = get_settings()
    embedded = EmbeddedPostgres(settings.data_dir)
    with Running.up() as running:
        cannot_start_for_a_while(embedded, running)
        engine = create_engine(database_url(settings))
        deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=SECONDS)
        with restarts(embedded, seed=7) as done:
            waiting = batches.copy()
            while waiting or dt.datetime.now(dt.UTC) < deadline:
                batch = waiting.pop(0) if waiting else random.Random(1).choice(batches)
                until(lambda b=batch: load(settings, engine, folder, b), seconds=120, what="a load")
        assert len(done) >= 1 + SECONDS // 40
        with Installation.open(settings, engine) as installation:
            until(lambda: quiet(installation), seconds=900, what="the jobs to finish")
            assert_counted(installation, rows)
            assert installation.rows("select count(*)::int from analytics.contact_activity") == [
                (len(rows),)
            ]


def cannot_start_for_a_while(embedded: EmbeddedPostgres, running: Running) -> None:
    """`up` says why, once, and goes on when the reason is gone."""
    settings = embedded.pgdata / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("max_connections = 'broken'\n")
    pid = embedded.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGQUIT)
    until(lambda: running.said("PostgreSQL did not start: FATAL:"), what="up to say so")
    settings.write_text(before)
    until(lambda: running.said("PostgreSQL runs again"), what="up to start it")
    assert sum("PostgreSQL did not start" in line for line in running.lines) == 1
    assert running.process.poll() is None


def quiet(installation: Installation) -> bool:
    """Whether nothing is marked any more and no session works."""
    try:
        return not installation.rows(
            "select 1 from analytics.stale_partitions union all"
            " select 1 from ops.job_sessions where status = 'RUNNING'"
        )
    except sa.exc.OperationalError:  # the last restart is still under way
        return False
