"""The first day that has partitions: noted with the data, moved back, named by a variable."""

import datetime as dt
from pathlib import Path

import pytest

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.freshness import first_day
from marketing_pipelines.running import mark_all
from marketing_pipelines.settings import Settings
from marketing_pipelines_tests.installation import Installation


def load(installation: Installation, folder: Path, *instants: str) -> None:
    rows = [{"event_id": instant, "occurred_at": instant} for instant in instants]
    installation.load_events(folder, rows)


def test_partitions_begin_with_the_month_of_the_earliest_event(
    installation: Installation, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    with installation.engine.connect() as connection:
        assert first_day.fit(connection, Settings()) is None
        load(installation, folder, "2026-03-09T10:00:00Z", "2026-02-17T10:00:00Z")
        # No demo ran: nothing is noted, and partitions begin as they did.
        assert first_day.notes(connection, Settings()) == []
        assert str(Settings().first_day) == "2015-01-01"
        assert str(first_day.fit(connection, Settings())) == "2026-02-01"
        assert str(Settings().first_day) == "2026-02-01"
        assert first_day.fit(connection, Settings()) is None
        # Earlier events are loaded all the same, and move it back.
        load(installation, folder, "2025-12-31T23:30:00Z")
        assert first_day.notes(connection, Settings()) == [
            "Partitions begin on 2025-12-01 from now on: start `up` again if it is running."
        ]
        assert first_day.notes(connection, Settings()) == []
    assert str(Settings().first_day) == "2025-12-01"
    assert str(Settings().earliest_day) == "2015-01-01"


def test_a_variable_wins_over_the_note(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Settings().first_day_file.write_text("2026-02-01\n")
    monkeypatch.setenv("MARKETING_FIRST_DAY", "2020-01-01")
    (tmp_path / "files").mkdir()
    load(installation, tmp_path / "files", "2018-03-09T10:00:00Z")
    with installation.engine.connect() as connection:
        assert first_day.fit(connection, Settings()) is None
    assert str(Settings().first_day) == str(Settings().earliest_day) == "2020-01-01"


def test_a_note_that_is_no_day_is_named(environment: dict[str, str]) -> None:
    path = Settings(timezone="UTC").first_day_file
    path.write_text("soon")
    with pytest.raises(ConfigurationError, match=r"first_day' does not hold a day such as"):
        Settings()


def test_every_partition_from_the_first_day_on_is_done_empty_ones_too(
    installation: Installation, tmp_path: Path
) -> None:
    today = dt.datetime.now(dt.UTC).date()
    yesterday = today - dt.timedelta(days=1)
    first_hour, first_date = yesterday - dt.timedelta(days=1), yesterday
    if today.day == 1:
        # The month of the event has ended: it is counted from all its days.
        first_hour = first_date = yesterday.replace(day=1)
    settings = installation.settings.model_copy(update={"first_day": yesterday})
    load(installation, tmp_path, f"{yesterday}T10:00:00Z")
    mark_all(settings=settings, engine=installation.engine)
    installation.run_marked()
    done = installation.rows(
        "select asset, min(partition), count(*) from analytics.finished_partitions group by 1"
    )
    first = {asset: partition for asset, partition, _ in done}
    counts = {asset: count for asset, _, count in done}
    assert first["analytics/contact_activity"] == f"{first_hour}-00:00"
    assert first["analytics/event_aggregates"] == str(first_date)
    assert counts["analytics/contact_activity"] >= counts["analytics/hourly_events"] >= 48
    assert counts["analytics/event_aggregates"] >= 1


def test_done_hours_of_the_day_before_move_the_note_only_if_they_have_events(
    installation: Installation, tmp_path: Path
) -> None:
    Settings().first_day_file.write_text("2026-02-01\n")
    installation.execute(
        "insert into analytics.finished_partitions (asset, partition, finished_at, rows)"
        " values ('analytics/contact_activity', '2026-01-31-00:00', now(), 0)"
    )
    with installation.engine.connect() as connection:
        assert first_day.fit(connection, Settings()) is None
        # The load waits for readers of the events' table.
        connection.rollback()
        load(installation, tmp_path, "2026-01-31T23:30:00Z")
        assert str(first_day.fit(connection, Settings())) == "2026-01-01"


def test_enrolments_before_the_noted_day_move_it_back_but_not_beyond_the_earliest_day(
    installation: Installation,
) -> None:
    Settings().first_day_file.write_text("2026-02-01\n")
    mark = (
        "insert into analytics.stale_partitions (asset, partition, xid)"
        " values ('analytics/campaign_daily_stats', :day, 1)"
    )
    with installation.engine.connect() as connection:
        installation.execute(mark, day="2025-11-20")
        # A day of the year 10000, as text.
        installation.execute(mark, day="10000-01-01")
        assert str(first_day.fit(connection, Settings())) == "2025-11-01"
        installation.execute(mark, day="2009-11-20")
        assert str(first_day.fit(connection, Settings())) == "2015-01-01"
        assert first_day.fit(connection, Settings()) is None
