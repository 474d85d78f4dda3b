"""The last day of the demo: yesterday at the first time, then the same for good."""

import datetime as dt
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from marketing_pipelines.cli.demo_dates import last_day, sentences
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.settings import Settings
from marketing_pipelines_tests.installation import Installation

NOW = dt.datetime(2026, 3, 1, 11, 30, tzinfo=dt.UTC)


@pytest.fixture
def connection(shared_installation: Installation) -> Iterator[sa.Connection]:
    """In a transaction that is rolled back at the end."""
    with shared_installation.engine.connect() as opened:
        yield opened


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("UTC", "2026-02-28"),
        ("America/New_York", "2026-02-28"),
        # There it is March 2 since 11:00 UTC of March 1, which is not over in UTC.
        ("Pacific/Auckland", "2026-02-28"),
        ("Asia/Tokyo", "2026-02-27"),
    ],
)
def test_the_first_demo_ends_on_the_last_day_that_is_over_in_utc_and_in_the_reporting_zone(
    connection: sa.Connection, zone: str, day: str
) -> None:
    settings = Settings(timezone=zone)
    assert last_day(connection, settings, NOW, as_recorded=False) == dt.date.fromisoformat(day)
    assert last_day(connection, settings, NOW, as_recorded=True) is None


def test_a_later_demo_keeps_the_day_of_the_first(connection: sa.Connection) -> None:
    store(connection, '{"demo_until": "2026-02-20"}')
    day = last_day(connection, Settings(), NOW, as_recorded=False)
    assert day == dt.date(2026, 2, 20)
    [moved, _] = sentences(connection, day, as_recorded=False)
    assert moved == (
        "The recorded year is moved to 2025-02-22 – 2026-02-20, by whole weeks: weekdays and"
        " seasons are kept; the first demo of this installation fixed that."
    )
    with pytest.raises(
        BadInputError, match=r"ends? on 2026-02-20: for --as-recorded name another folder"
    ):
        last_day(connection, Settings(), NOW, as_recorded=True)


def test_an_installation_with_recorded_dates_keeps_them(connection: sa.Connection) -> None:
    store(connection, "{}")
    assert last_day(connection, Settings(), NOW, as_recorded=False) is None
    assert last_day(connection, Settings(), NOW, as_recorded=True) is None
    [kept] = sentences(connection, None, as_recorded=False)
    assert kept.startswith("This installation has the demo with its recorded dates of 2017")


def store(connection: sa.Connection, attributes: str) -> None:
    connection.execute(
        sa.text(
            "insert into crm.organizations (external_id, attributes)"
            " values ('completejourney', cast(:attributes as jsonb))"
        ),
        {"attributes": attributes},
    )
