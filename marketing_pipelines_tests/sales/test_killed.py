"""Jobs of sales whose process is killed half-way: the next run leaves the rows of one run."""

import datetime as dt
import signal

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.cli.console import start
from marketing_pipelines_tests.sales.world import WRITTEN, Sales
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until

pytestmark = pytest.mark.fault
TICK = dt.datetime(2026, 3, 31, 9, 0, tzinfo=dt.UTC)
WAITING = sa.text(
    "select count(*) > 0 from pg_locks where not granted"
    " and relation = 'crm.notifications'::regclass"
    " and database = (select oid from pg_database where datname = current_database())"
)


@pytest.mark.parametrize(
    "job",
    [
        "stale_deals",
        pytest.param("meeting_briefs", marks=[pytest.mark.soak, soak_only]),
        pytest.param("daily_insights", marks=[pytest.mark.soak, soak_only]),
    ],
)
def test_a_killed_run_leaves_nothing_half_done(sales: Sales, job: str) -> None:
    sales.load(
        "deals",
        *(
            {"external_id": f"d{n}", "owner_id": "ann", "created_at": "2026-01-01T00:00:00Z"}
            for n in range(5)
        ),
    )
    sales.load(
        "meetings",
        *(
            {"external_id": f"m{n}", "owner_id": "ann", "starts_at": "2026-03-31T09:40:00Z"}
            for n in range(3)
        ),
    )
    sales.run(f"sales/{job}", TICK)
    undisturbed = sales.fingerprint()
    tables = ", ".join((*WRITTEN, "ops.job_sessions"))
    sales.installation.execute(f"truncate {tables} restart identity cascade")
    sales.installation.execute("update crm.deals set tags = '{}'")
    nothing = sales.fingerprint()
    with sales.installation.engine.connect() as connection:
        connection.exec_driver_sql("lock table crm.notifications in exclusive mode")
        with start("run", f"sales/{job}", "--at", TICK.isoformat()) as process:
            with sales.installation.engine.connect() as looking:
                until(lambda: bool(looking.execute(WAITING).scalar_one()), what="the job to wait")
            process.send_signal(signal.SIGKILL)
            assert process.wait(30) == -signal.SIGKILL
    assert sales.fingerprint() == nothing != undisturbed
    sales.run(f"sales/{job}", TICK)
    assert sales.fingerprint() == undisturbed
