"""The Complete Journey moved to end on a day: weekdays, seasons, nothing ahead, made-up opens."""

import csv
import datetime as dt
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from marketing_pipelines.demo.completejourney import first_day, macros, weeks_to_season, write_files
from marketing_pipelines_tests.demo.recorded import PACKAGE, source_folder, write_fewer
from marketing_pipelines_tests.scale import SOAK

UNTIL = dt.date(2026, 11, 29)
Connection = duckdb.DuckDBPyConnection


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the source, with the purchases of one in forty households."""
    if SOAK:
        yield source_folder()
        return
    folder = tmp_path_factory.mktemp("fewer")
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, PACKAGE, raising=False)
        patch.syspath_prepend(str(folder))
        yield write_fewer(folder, source_folder(), one_in=40)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, source: Path) -> dict[str, Path]:
    return dict(write_files(tmp_path_factory.mktemp("moved"), until=UNTIL))


@pytest.fixture(scope="module")
def written(files: dict[str, Path], source: Path) -> Iterator[Connection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for kind in ("campaigns", "campaign_contacts"):
            connection.read_csv(str(files[kind])).create_view(kind)
        connection.read_parquet(str(files["events"])).create_view("events")
        connection.read_parquet(str(source / "transactions.parquet")).create_view("purchases")
        connection.read_parquet(str(source / "campaign_descriptions.parquet")).create_view(
            "recorded_campaigns"
        )
        yield connection


@pytest.fixture(scope="module")
def purchases(written: Connection) -> int:
    """The number of purchases that the source has."""
    [(number,)] = rows(written, "select count(*) from purchases")
    assert number == 1_469_307 if SOAK else number > 30_000
    return int(number)


def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


@pytest.mark.soak
def test_events_fill_the_52_weeks_up_to_the_last_day(written: Connection, purchases: int) -> None:
    counted = rows(
        written,
        """
        select event_type, count(*), count(distinct event_id) from events group by 1 order by 1
        """,
    )
    assert counted == [
        ("clicked", 480, 480),
        ("converted", 1_868, 1_868),
        ("opened", 2_345, 2_345),
        ("purchase", purchases, purchases),
        ("sent", 6_589, 6_589),
    ]
    assert rows(
        written,
        "select min(occurred_at)::date, max(occurred_at)::date,"
        " count(distinct occurred_at::date) from events",
    ) == [(dt.date(2025, 12, 1), UNTIL, 363)]
    assert first_day(UNTIL) == dt.date(2025, 12, 1)


@pytest.mark.soak
def test_a_purchase_moves_by_whole_weeks_and_keeps_its_season(
    written: Connection, purchases: int
) -> None:
    moved = """
        select date_diff('second', timezone('UTC', transaction_timestamp), occurred_at) as seconds
        from events join purchases on event_id = format('p-{}-{}', basket_id, product_id)
    """
    assert rows(
        written,
        f"""
        select count(*), bool_and(seconds % (7 * 86400) = 0),
               max(abs(seconds / 86400 - round(seconds / 86400 / 365.2425) * 365.2425)) < 6
        from ({moved})
        """,
    ) == [(purchases, True, True)]


def test_a_campaign_moves_as_a_whole_and_is_active_while_its_end_lies_ahead(
    written: Connection,
) -> None:
    [(whole, as_long, statuses_right, active)] = rows(
        written,
        f"""
        select bool_and(date_diff('day', start_date, cast(started_at as date)) % 7 = 0),
               bool_and(completed_at is null or date_diff('day', start_date, end_date)
                        = date_diff('day', cast(started_at as date), cast(completed_at as date))),
               bool_and((status = 'completed') = (completed_at is not null)
                        and coalesce(completed_at < timestamptz '{UNTIL} 23:59:59Z', true)),
               list(external_id order by external_id) filter (status = 'active')
        from campaigns
        join recorded_campaigns on external_id = 'campaign-' || campaign_id
        """,
    )
    assert (whole, as_long, statuses_right) == (True, True, True)
    assert active == ["campaign-15", "campaign-18", "campaign-19", "campaign-24"]
    assert rows(
        written,
        """
        select count(*) from campaign_contacts as enrolment
        join campaigns as campaign on campaign.external_id = enrolment.campaign_id
        where enrolment.status <> campaign.status
           or enrolment.completed_at is distinct from campaign.completed_at
        """,
    ) == [(0,)]


def test_made_up_events_follow_their_mailing_and_say_that_they_are_made_up(
    written: Connection,
) -> None:
    assert rows(
        written,
        """
        with of_mail as (
            select event_source, contact_id,
                   max(occurred_at) filter (event_type = 'sent') as sent,
                   max(occurred_at) filter (event_type = 'opened') as opened,
                   max(occurred_at) filter (event_type = 'clicked') as clicked
            from events where event_type in ('sent', 'opened', 'clicked') group by all
        )
        select bool_and(coalesce(opened > sent and opened < sent + interval 14 day, true)),
               bool_and(coalesce(clicked > opened and clicked < opened + interval 2 hour, true))
        from of_mail
        """,
    ) == [(True, True)]
    assert rows(
        written,
        """
        select distinct properties from events where event_type in ('opened', 'clicked')
        """,
    ) == [('{"made_up": true}',)]


def test_the_organization_names_what_is_not_recorded_and_keeps_the_last_day(
    files: dict[str, Path],
) -> None:
    with files["organizations"].open(newline="") as file:
        [row] = csv.DictReader(file)
    assert row["name"] == "Complete Journey Grocery (demo: dates moved, opens and clicks made up)"
    assert row["demo_until"] == "2026-11-29"


@pytest.mark.parametrize("until", ["2017-12-31", "2024-02-29", "2026-11-29", "2027-01-03"])
def test_every_recorded_day_comes_to_lie_in_the_52_weeks_in_its_season(until: str) -> None:
    last = dt.date.fromisoformat(until)
    with duckdb.connect() as connection:
        for macro in macros(last):
            connection.execute(f"create macro {macro}")
        moves = rows(
            connection,
            "select cast(day as date), days_to_move(day) from generate_series("
            "timestamp '2016-11-14', timestamp '2018-01-01', interval 1 day) as days (day)",
        )
    for day, days in moves:
        assert days % 7 == 0
        assert first_day(last) <= day + dt.timedelta(days=days) <= last
        assert abs(days - round(days / 365.2425) * 365.2425) < 7


def test_a_season_is_kept_to_half_a_week() -> None:
    for year in range(2018, 2060):
        moved = dt.date(2017, 7, 1) + dt.timedelta(weeks=weeks_to_season(year))
        assert abs((moved - dt.date(year, 7, 1)).days) <= 3
