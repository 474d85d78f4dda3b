"""The weekly look at the database and the lake: dead rows are vacuumed, lost files come back."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines.domains.analytics.lake_check import SHARES, compare_files
from marketing_pipelines.stores.lake import Lake
from marketing_pipelines_tests.installation import Installation

JOB = "upkeep/database"
NOW = dt.datetime(2026, 4, 5, 3, tzinfo=dt.UTC)
HOURS = [dt.datetime(2026, 3, 1, hour, tzinfo=dt.UTC) for hour in (10, 11, 12)]
MARKS = (
    "select partition from analytics.stale_partitions where asset = 'analytics/contact_activity'"
    " and partition between '2026-03-01-10:00' and '2026-03-01-12:00' order by 1"
)


@pytest.fixture
def lake(installation: Installation, tmp_path: Path) -> Lake:
    """A lake of three hours with two events each."""
    rows = [
        {"event_id": f"e{at:%H}{n}", "occurred_at": (at + n * dt.timedelta(minutes=1)).isoformat()}
        for at in HOURS
        for n in (1, 2)
    ]
    installation.load_events(tmp_path, rows)
    installation.run("analytics/contact_activity", "2026-03-01-10:00", "2026-03-01-12:00")
    return Lake(installation.settings.effective_lake_url)


def run(installation: Installation) -> Any:
    [outcome] = installation.run(JOB, at=NOW)
    assert outcome.status == "COMPLETED", outcome.error
    return outcome


def test_a_whole_lake_is_left_as_it_is(installation: Installation, lake: Lake) -> None:
    assert run(installation).rows == 3
    assert installation.rows(MARKS) == []


def test_files_that_are_missing_or_torn_are_exported_again(
    installation: Installation, lake: Lake
) -> None:
    before = [Path(lake.path(hour)).read_bytes() for hour in HOURS]
    Path(lake.path(HOURS[0])).unlink()
    torn = Path(lake.path(HOURS[1]))
    torn.write_bytes(torn.read_bytes()[:-20])
    run(installation)
    assert installation.rows(MARKS) == [
        ("2026-03-01-10:00",),
        ("2026-03-01-11:00",),
    ]
    installation.run(
        "analytics/contact_activity", "2026-03-01-10:00", "2026-03-01-11:00", only=True
    )
    assert installation.rows(MARKS) == []
    assert [Path(lake.path(hour)).read_bytes() for hour in HOURS] == before


def test_eight_weeks_compare_the_content_of_every_file_once(
    installation: Installation, lake: Lake
) -> None:
    other = Path(lake.path(HOURS[2]))
    # The same rows in another order of columns: only the content tells.
    import pyarrow.parquet as pq

    table = pq.read_table(other)
    pq.write_table(table.select(table.column_names[::-1]), other)
    found = []
    with installation.engine.connect() as connection:
        for week in range(SHARES):
            check = compare_files(connection, lake, week)
            found += [(hour, reason) for hour, reason in check.different.items()]
            assert (check.files, check.hashed <= 1) == (3, True)
    assert found == [(HOURS[2], "its content is another")]


def test_tables_full_of_dead_rows_are_vacuumed(installation: Installation, lake: Lake) -> None:
    installation.execute(
        "insert into ops.metric_samples select now() - n * interval '1 second', 'm', '', 1"
        " from generate_series(1, 3000) as n"
    )
    installation.execute("delete from ops.metric_samples")
    with installation.engine.connect() as connection:
        connection.exec_driver_sql("select pg_stat_force_next_flush()")
        connection.commit()
    run(installation)
    assert installation.rows(
        "select vacuum_count, n_dead_tup from pg_stat_user_tables"
        " where relid = 'ops.metric_samples'::regclass"
    ) == [(1, 0)]
    assert run(installation).rows == 3
