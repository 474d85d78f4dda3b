"""Fault 8: the connection to PostgreSQL falls silent, is cut, or its client is gone."""

import os
import socket
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from marketing_pipelines.runs.tags import MAX_RUNTIME_TAG
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.faults import worker
from marketing_pipelines_tests.faults.proxy import Proxy
from marketing_pipelines_tests.faults.test_one_job import (
    TABLE,
    ended,
    lock_is_free,
    reads_the_table,
)
from marketing_pipelines_tests.faults.worker import outcome, working
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.probe import KEY, run_probe
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until

pytestmark = pytest.mark.fault


@pytest.fixture
def proxy(server: EmbeddedPostgres) -> Iterator[Proxy]:
    with Proxy.before(server.socket_dir) as opened:
        yield opened


def url(proxy: Proxy, installation: Installation) -> str:
    return proxy.url(str(installation.engine.url.database))


@pytest.mark.fault(8)
def test_fault_8_a_job_whose_connection_falls_silent_ends_in_time_and_is_done_again(
    installation: Installation, proxy: Proxy
) -> None:
    """Neither end closes: only the job's own time tells it, and its second attempt must not take
    what the first one left on the server for another run."""
    with installation.engine.connect() as blocker:
        blocker.execute(sa.text(f"lock {TABLE} in access exclusive mode"))
        with working(
            worker.read, 3, TABLE, MARKETING_DATABASE_URL=url(proxy, installation)
        ) as process:
            until(lambda: reads_the_table(installation), what="the job to work")
            proxy.silence()
            until(
                lambda: "RUNNING" not in [status for _, status, _ in ended(installation)],
                what="the session to end",
            )
            blocker.rollback()
            assert outcome(process)["success"]
    error = f"{KEY} was stopped after 3 s, the time it may take."
    first, *others = [(status, error) for _, status, error in ended(installation)]
    assert first == ("TIMED_OUT", error)
    assert others[-1] == ("COMPLETED", None)
    assert lock_is_free(installation)


@pytest.mark.soak
@soak_only
def test_fault_8_a_job_whose_connection_is_cut_tries_again_until_the_server_answers(
    installation: Installation, proxy: Proxy
) -> None:
    with installation.engine.connect() as blocker:
        blocker.execute(sa.text(f"lock {TABLE} in access exclusive mode"))
        with working(
            worker.read, 60, TABLE, MARKETING_DATABASE_URL=url(proxy, installation)
        ) as process:
            until(lambda: reads_the_table(installation), what="the job to work")
            proxy.cut(and_refuse=True)
            until(lambda: lock_is_free(installation), what="the server to notice")
            blocker.rollback()
            proxy.accept_again()
            end = outcome(process)
    assert end["success"]
    assert end["delays"] in ([1], [1, 2], [1, 2, 4])
    assert [status for _, status, _ in ended(installation)] == ["FAILED", "COMPLETED"]


@pytest.mark.fault(8)
def test_fault_8_both_ends_notice_within_a_minute_that_the_other_is_gone(
    installation: Installation, proxy: Proxy
) -> None:
    """A machine that loses power closes nothing; the kernels ask each other."""
    engine = create_engine(
        sa.make_url(url(proxy, installation)).set(drivername="postgresql+psycopg")
    )
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with socket.socket(fileno=os.dup(driver.fileno())) as raw:
            assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            idle, interval, count = (raw.getsockopt(socket.IPPROTO_TCP, o) for o in options)
            assert idle + interval * count <= 60
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
        rows = connection.execute(
            sa.text("select name, setting from pg_settings where source = 'session'")
        )
        set_by_us = {row.name: row.setting for row in rows}
    assert set_by_us["client_connection_check_interval"] == "5000"
    assert {name for name in set_by_us if name.startswith("tcp_")} == {
        "tcp_keepalives_count",
        "tcp_keepalives_idle",
        "tcp_keepalives_interval",
        "tcp_user_timeout",
    }


@pytest.mark.fault(8)
def test_fault_8_the_server_ends_a_session_that_has_been_silent_for_the_jobs_time(
    engine: sa.Engine,
) -> None:
    limits: list[tuple[str, ...]] = []

    def body(tick: Tick) -> None:
        with tick.begin() as connection:
            names = ("statement_timeout", "idle_in_transaction_session_timeout")
            limits.append(
                tuple(
                    connection.execute(sa.select(sa.func.current_setting(name))).scalar_one()
                    for name in (*names, "idle_session_timeout")
                )
            )

    assert run_probe(engine, body, tags={MAX_RUNTIME_TAG: "30"}).success
    assert limits == [("30s", "1min", "1min")]
