"""Events that come late, twice, out of order or from a transaction that commits last."""

import datetime as dt
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketing_pipelines.domains.analytics.publishing import publish_campaign_days
from marketing_pipelines.engines.duckdb_engine import DuckDBEngine
from marketing_pipelines.freshness.writer_barrier import require_over, wait_for_writers
from marketing_pipelines.runs.frame import open_tick
from marketing_pipelines.runs.tags import TICK_TAG
from marketing_pipelines.stores.lake import Lake
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import assert_counted, event, stored
from marketing_pipelines_tests.scale import SOAK, soak_only
from marketing_pipelines_tests.waiting import until

pytestmark = pytest.mark.fault

LATENESS = {
    "a minute": dt.timedelta(minutes=1),
    "an hour": dt.timedelta(hours=1),
    "a day": dt.timedelta(days=1),
    "35 days": dt.timedelta(days=35),
}
WIPED = (
    "analytics.contact_activity",
    "analytics.event_keys",
    "analytics.lake_hours",
    "analytics.hourly_events",
    "analytics.event_aggregates",
    "analytics.campaign_daily_stats",
    "analytics.stale_partitions",
    "analytics.finished_partitions",
    "crm.organizations",
)


def load(installation: Installation, folder: Path, *rows: dict[str, Any]) -> Any:
    """Loads the rows and does what the clock would do."""
    result = installation.load_events(folder, rows)
    installation.run_marked()
    assert installation.rows("select * from analytics.stale_partitions") == []
    return result


@pytest.mark.fault(23)
def test_events_that_come_late_restate_their_hour_day_and_month(
    installation: Installation, tmp_path: Path
) -> None:
    """In full, each of them after the one before it was counted; in short, all four at once."""
    first = event(0, "2026-03-31T23:10:00Z")
    load(installation, tmp_path, first)
    happened = dt.datetime.fromisoformat("2026-03-31T23:30:00+00:00")
    late = [
        event(
            number,
            happened.isoformat(),
            received_at=(happened + lateness).isoformat(),
            contact_id=f"c{number % 2}",
        )
        for number, lateness in enumerate(LATENESS.values(), start=1)
    ]
    for place in range(0, len(late), 1 if SOAK else len(late)):
        until_now = late if not SOAK else late[: place + 1]
        load(installation, tmp_path, *until_now[place:])
        assert_counted(installation, [first, *until_now])
    assert stored(installation, "month") == {("acme", "opened", "2026-03"): (5, 2)}


@pytest.mark.fault(23)
def test_the_last_microsecond_and_midnight_belong_to_two_days(
    installation: Installation, tmp_path: Path
) -> None:
    rows = [
        event(1, "2026-03-01T23:59:59.999999Z"),
        event(2, "2026-03-02T00:00:00Z"),
        event(3, "2026-03-02T00:00:00.000001Z"),
    ]
    installation.load_events(tmp_path, rows)
    installation.run("analytics/event_aggregates", "2026-03-01", "2026-03-02")
    assert stored(installation, "day") == {
        ("acme", "opened", "2026-03-01"): (1, 1),
        ("acme", "opened", "2026-03-02"): (2, 1),
    }
    assert stored(installation, "hour") == {
        ("acme", "opened", "2026-03-01 23"): (1, 1),
        ("acme", "opened", "2026-03-02 00"): (2, 1),
    }


@pytest.mark.soak
@soak_only
def test_a_repeat_received_later_changes_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    kept = event(1, "2026-03-01T10:00:00Z", received_at="2026-03-01T10:01:00Z")
    repeat = event(1, "2026-03-05T10:00:00Z", received_at="2026-03-05T10:01:00Z")
    load(installation, tmp_path, kept)
    before = installation.fingerprints()
    result = load(installation, tmp_path, repeat)
    assert (result.loaded, result.repeated) == (0, 1)
    assert installation.fingerprints() == before


@pytest.mark.soak
@soak_only
def test_a_repeat_received_earlier_moves_the_event_and_restates_both_hours_and_days(
    installation: Installation, tmp_path: Path
) -> None:
    later = event(1, "2026-03-05T10:00:00Z", received_at="2026-03-05T10:01:00Z")
    other = event(2, "2026-03-05T10:30:00Z", contact_id="c2")
    earlier = event(1, "2026-03-01T10:00:00Z", received_at="2026-03-01T10:01:00Z")
    load(installation, tmp_path, later, other)
    load(installation, tmp_path, earlier)
    assert stored(installation, "hour") == {
        ("acme", "opened", "2026-03-01 10"): (1, 1),
        ("acme", "opened", "2026-03-05 10"): (1, 1),
    }
    assert_counted(installation, [later, other, earlier])
    lake = Path(installation.settings.effective_lake_url)
    assert len(list(lake.rglob("events.parquet"))) == 2


@pytest.mark.soak
@soak_only
def test_an_hour_that_loses_its_only_event_loses_its_rows_and_its_file(
    installation: Installation, tmp_path: Path
) -> None:
    later = event(1, "2026-03-05T10:00:00Z", received_at="2026-03-05T10:01:00Z")
    earlier = event(1, "2026-03-01T10:00:00Z", received_at="2026-03-01T10:01:00Z")
    load(installation, tmp_path, later)
    load(installation, tmp_path, earlier)
    assert_counted(installation, [later, earlier])
    lake = Path(installation.settings.effective_lake_url)
    [file] = lake.rglob("events.parquet")
    assert file.parent.parent.name == "dt=2026-03-01"
    assert installation.rows("select date::text, opened from analytics.campaign_daily_stats") == [
        ("2026-03-01", 1)
    ]


def test_a_transaction_that_commits_after_a_later_one_was_exported_is_not_missed(
    installation: Installation, tmp_path: Path
) -> None:
    hour = ("analytics/contact_activity", "2026-03-01-10:00")
    installation.load_events(tmp_path, [event(0, "2026-03-01T10:00:00Z")])
    installation.run(*hour)
    [(contact,)] = installation.rows("select id from analytics.contacts")
    with installation.engine.connect() as first, installation.engine.connect() as second:
        insert_event(first, "first", contact, "2026-03-01T10:10:00Z")
        insert_event(second, "second", contact, "2026-03-01T10:20:00Z")
        second.commit()
        installation.run(*hour)
        assert stored(installation, "hour") == {("acme", "opened", "2026-03-01 10"): (2, 1)}
        first.commit()
    assert hour in installation.rows("select asset, partition from analytics.stale_partitions")
    installation.run(*hour)
    assert stored(installation, "hour") == {("acme", "opened", "2026-03-01 10"): (3, 1)}


def insert_event(connection: sa.Connection, name: str, contact: int, occurred_at: Any) -> None:
    connection.execute(
        sa.text(
            "insert into analytics.contact_activity (organization_id, event_id, contact_id,"
            " event_type, occurred_at, received_at)"
            " select organization_id, :name, id, 'opened', :occurred_at, now()"
            " from crm.contacts where id = :contact"
        ),
        {"name": name, "contact": contact, "occurred_at": occurred_at},
    )


def test_an_hour_about_to_end_is_waited_for_and_so_are_its_writers(
    installation: Installation, tmp_path: Path
) -> None:
    """Transactions that write when the hour ends are over before its export reads."""
    installation.load_events(tmp_path, [event(0, "2026-03-01T10:00:00Z")])
    [(contact,)] = installation.rows("select id from analytics.contacts")
    with installation.engine.connect() as writer, ThreadPoolExecutor(1) as pool:
        insert_event(writer, "still open", contact, dt.datetime.now(dt.UTC))
        [end] = writer.execute(sa.text("select clock_timestamp() + interval '1 s'")).scalars()
        waiting = pool.submit(wait_until_written, installation, end)
        looks: set[Any] = set()
        until(lambda: looks.update(look(installation)) or len(looks) > 1, what="two looks")
        assert min(looks)[0] >= end
        assert not waiting.done()
        writer.commit()
        waiting.result(120)


def wait_until_written(installation: Installation, end: dt.datetime) -> None:
    with installation.engine.connect() as connection:
        require_over(connection, end)
        wait_for_writers(
            connection, ["analytics.contact_activity"], end, patience=dt.timedelta(minutes=5)
        )


@pytest.mark.parametrize(
    "change",
    ["an enrolment", pytest.param("the end of a campaign", marks=[pytest.mark.soak, soak_only])],
)
def test_campaign_days_wait_for_a_transaction_that_began_before_the_day_ended(
    installation: Installation, tmp_path: Path, change: str
) -> None:
    """The day is the running one, which the trigger does not mark."""
    installation.load_events(tmp_path, [event(0, "2026-03-01T10:00:00Z")])
    installation.execute(
        "insert into campaigns.campaigns (organization_id, external_id, status, started_at)"
        " select id, 'running', 'active', timestamptz '2026-03-01' from crm.organizations"
    )
    now = dt.datetime.now(dt.UTC)
    with installation.engine.connect() as writer:
        writer.execute(sa.text(CHANGES[change]), {"now": now})
        finishes_only_after(writer, installation, lambda: count_running_day(installation, now))
    assert (
        installation.rows(
            "select entered::int from analytics.campaign_daily_stats where date = :day",
            day=now.date(),
        )
        == {"an enrolment": [(1,)], "the end of a campaign": []}[change]
    )


CHANGES = {
    "an enrolment": "insert into campaigns.campaign_contacts"
    " (organization_id, campaign_id, contact_id, entered_at)"
    " select campaigns.organization_id, campaigns.id, contacts.id, :now"
    " from campaigns.campaigns cross join crm.contacts where campaigns.external_id = 'running'",
    "the end of a campaign": "update campaigns.campaigns set cancelled_at = started_at"
    " where external_id = 'running' and started_at < :now",
}


def finishes_only_after(
    writer: sa.Connection, installation: Installation, work: Callable[[], dg.ExecuteInProcessResult]
) -> None:
    """The work asks for open writers again and again, and succeeds when this one commits."""
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        looks: set[Any] = set()
        # Work waits for an end that is near before it looks.
        until(
            lambda: looks.update(look(installation)) or len(looks) > 1,
            seconds=300,
            what="two looks",
        )
        assert not working.done()
        writer.commit()
        assert working.result(300).success


def look(installation: Installation) -> list[Any]:
    """The instant when waiting work asked for open writers, if that was its last statement."""
    return installation.rows(
        "select query_start from pg_stat_activity where datname = current_database()"
        " and query like '%RowExclusiveLock%' and pid <> pg_backend_pid()"
    )


def count_running_day(installation: Installation, now: dt.datetime) -> dg.ExecuteInProcessResult:
    """The work of the campaign days for a day that is not over and has no closed hour yet."""
    days = dg.DailyPartitionsDefinition(start_date="2026-01-01", end_offset=1)

    @dg.asset(key=["analytics", "campaign_daily_stats"], partitions_def=days)
    def campaign_daily_stats(context: dg.AssetExecutionContext) -> None:
        # Its locks end with its connections, which a pool would keep.
        engine = create_engine(installation.engine.url)
        with open_tick(engine, installation.settings.zone, context) as tick:
            lake = Lake(installation.settings.effective_lake_url)
            publish_campaign_days(tick, lake, DuckDBEngine(installation.settings.spill_folder))

    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return materialize(installation, campaign_daily_stats, f"{now:%Y-%m-%d}", midnight)


def materialize(
    installation: Installation, asset: dg.AssetsDefinition, partition: str, at: dt.datetime
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [asset],
        instance=installation.instance,
        partition_key=partition,
        tags={TICK_TAG: at.isoformat()},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def test_events_cannot_be_changed(installation: Installation, tmp_path: Path) -> None:
    installation.load_events(tmp_path, [event(1, "2026-03-01T10:00:00Z")])
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        installation.execute("update analytics.contact_activity set event_type = 'clicked'")
    assert installation.rows("select event_type from analytics.contact_activity") == [("opened",)]


def test_a_repeat_inserted_by_hand_is_refused(installation: Installation, tmp_path: Path) -> None:
    installation.load_events(tmp_path, [event(1, "2026-03-01T10:00:00Z")])
    [(contact,)] = installation.rows("select id from analytics.contacts")
    with (
        pytest.raises(sa.exc.IntegrityError, match=r"event e1 of organization \d+ is stored"),
        installation.engine.begin() as connection,
    ):
        insert_event(connection, "e1", contact, "2026-03-01T10:00:00Z")
    assert installation.rows("select count(*) from analytics.contact_activity") == [(1,)]


@pytest.mark.soak
@soak_only
def test_overlapping_hours_and_days_done_again_leave_the_same_tables(
    installation: Installation, tmp_path: Path
) -> None:
    rows = [
        event(n, f"2026-03-0{1 + n % 3}T{n % 24:02}:30:00Z", contact_id=f"c{n % 5}")
        for n in range(40)
    ]
    load(installation, tmp_path, *rows)
    assert_counted(installation, rows)
    before = installation.fingerprints()
    for job, first, last in (
        ("analytics/contact_activity", "2026-03-01-10:00", "2026-03-02-10:00"),
        ("analytics/event_aggregates", "2026-03-01", "2026-03-03"),
        ("analytics/hourly_events", "2026-03-02-00:00", "2026-03-02-23:00"),
        ("analytics/campaign_daily_stats", "2026-03-02", "2026-03-03"),
        ("analytics/event_aggregates", "2026-03-02", None),
        ("analytics/monthly_usage", "2026-03-01", None),
    ):
        installation.run(job, first, last)
    assert installation.fingerprints() == before
    installation.run_marked()
    assert installation.fingerprints() == before


ONE_EVENT = st.builds(
    lambda number, minute, received, contact, organization: event(
        number,
        f"{dt.datetime(2026, 3, 1, 22, tzinfo=dt.UTC) + dt.timedelta(minutes=minute):%FT%TZ}",
        received_at=f"2026-03-0{received}T12:00:00Z",
        contact_id=f"c{contact}",
        organization_id=organization,
    ),
    st.integers(0, 7),
    st.integers(0, 239),
    st.integers(3, 6),
    st.integers(0, 2),
    st.sampled_from(["acme", "globex"]),
)


def differ(rows: list[dict[str, Any]]) -> bool:
    """Of two copies of one event that were received and happened at once, neither wins."""
    keys = ("organization_id", "event_id", "received_at", "occurred_at")
    return len({tuple(row[key] for key in keys) for row in rows}) == len(rows)


@pytest.mark.soak
@soak_only
@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    loads=st.lists(st.lists(ONE_EVENT, min_size=1, max_size=6), min_size=1, max_size=3).filter(
        lambda loads: differ([row for rows in loads for row in rows])
    )
)
def test_any_split_into_loads_gives_what_plain_counting_gives(
    installation: Installation, tmp_path: Path, loads: list[list[dict[str, Any]]]
) -> None:
    with installation.engine.begin() as connection:
        connection.exec_driver_sql("set local session_replication_role = replica")
        connection.exec_driver_sql(f"truncate {', '.join(WIPED)} cascade")
    shutil.rmtree(installation.settings.effective_lake_url, ignore_errors=True)
    for rows in loads:
        load(installation, tmp_path, *rows)
    assert_counted(installation, [row for rows in loads for row in rows])
