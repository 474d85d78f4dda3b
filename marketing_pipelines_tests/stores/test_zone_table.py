"""One source of time zones: statements read local times as Python does, in every zone there is.

The cases are all changes of two years in all zones of the pinned package, found here by asking
`zoneinfo` for every hour in which an offset may change.
"""

import datetime as dt
import json
import zoneinfo
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.cli.doctor import check_zones
from marketing_pipelines.domains.lifecycle.programs import read_sql
from marketing_pipelines.domains.segments import dates
from marketing_pipelines.domains.segments.rules import Comparison
from marketing_pipelines.domains.segments.values import Document, compare
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.freshness.partitions import window_at
from marketing_pipelines.loading.checker import Checker
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import zone_table
from marketing_pipelines.stores.postgres import database_url
from marketing_pipelines.stores.schema import migrate
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import SOAK, soak_only

YEARS = (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2028, 1, 1, tzinfo=dt.UTC))
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
CLOCKS = [dt.time(0), dt.time(1, 30), dt.time(2), dt.time(2, 30), dt.time(3), dt.time(23, 30)]
# PostgreSQL reads these as abbreviations without summer time, or had other rules for them.
SUSPECT = {
    "CET": 2,
    "MET": 2,
    "EET": 3,
    "WET": 1,
    "America/Vancouver": -7,
}


def some_changes() -> list[tuple[str, dt.datetime]]:
    """In short, so few that each may have statements of its own."""
    return changes() if SOAK else changes()[::11]


@cache
def changes() -> list[tuple[str, dt.datetime]]:
    """(zone, the minute of a change) of two years."""
    found = []
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        day = YEARS[0]
        before = day.astimezone(zone).utcoffset()
        while day < YEARS[1]:
            after = (day + DAY).astimezone(zone).utcoffset()
            if before != after:
                minute = day
                while minute.astimezone(zone).utcoffset() == before:
                    step = (
                        HOUR if (minute + HOUR).astimezone(zone).utcoffset() == before else MINUTE
                    )
                    minute += step
                found.append((name, minute))
            day, before = day + DAY, after
    return found


def first_instant(day: dt.date, clock: dt.time, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, clock, tzinfo=zone).astimezone(dt.UTC)


def unnested(connection: sa.Connection, select: str, cases: list[tuple[Any, ...]]) -> list[Any]:
    """The answers of an expression over cases (zone, value), in their order."""
    kind = "timestamptz" if cases[0][1].tzinfo else "timestamp"
    statement = sa.text(
        f"select {select} from unnest(cast(:zones as text[]), cast(:given as {kind}[]))"
        " with ordinality as asked (zone, given, place) join ops.zones as of_zone on name = zone"
        " order by place"
    )
    parameters = {"zones": [name for name, *_ in cases], "given": [case[1] for case in cases]}
    return list(connection.execute(statement, parameters).scalars())


def test_python_reads_the_pinned_package_and_not_the_operating_system() -> None:
    assert zoneinfo.TZPATH == ()
    assert len({name for name, _ in changes()}) > 200


def test_local_times_and_days_are_pythons_around_every_change(
    shared_installation: Installation,
) -> None:
    instants = [
        (name, at + shift)
        for name, at in changes()
        for shift in (-DAY, -HOUR, -MINUTE, dt.timedelta(), MINUTE, HOUR, DAY)
    ]
    locals_ = [
        (name, dt.datetime.combine(at.astimezone(ZoneInfo(name)).date() + shift, clock))
        for name, at in changes()
        for shift in (-DAY, dt.timedelta(), DAY)
        for clock in CLOCKS
    ]
    with shared_installation.engine.connect() as connection:
        shown = unnested(connection, "ops.local_time(given, starts_at, utc_offsets)", instants)
        read = unnested(connection, "ops.instant_of(given, starts_local, utc_offsets)", locals_)
    assert shown == [at.astimezone(ZoneInfo(name)).replace(tzinfo=None) for name, at in instants]
    assert read == [
        first_instant(local.date(), local.time(), ZoneInfo(name)) for name, local in locals_
    ]


def test_day_windows_are_the_days_that_statements_give_their_first_and_last_instants(
    shared_installation: Installation,
) -> None:
    windows = [
        (name, window_at("day", at + shift, ZoneInfo(name)))
        for name, at in changes()
        for shift in (-DAY, dt.timedelta(), DAY)
    ]
    edges = [
        (name, instant)
        for name, day in windows
        for instant in (day.start, day.end - dt.timedelta(microseconds=1))
    ]
    with shared_installation.engine.connect() as connection:
        keys = unnested(
            connection,
            "to_char(ops.local_time(given, starts_at, utc_offsets), 'YYYY-MM-DD')",
            edges,
        )
    assert keys == [day.key for _, day in windows for _ in range(2)]


def test_waits_end_when_pythons_clock_shows_the_time(shared_installation: Installation) -> None:
    """The step engine's own statement, for one contact per zone, change and time of day."""
    engine = shared_installation.engine
    shared_installation.execute(
        "insert into crm.organizations (id, external_id, name, timezone)"
        " overriding system value values (9000, 'zones', 'Zones', 'Mars/Olympus')"
    )
    names = sorted({name for name, _ in changes()})
    arrivals = [
        (name, at - shift, clock)
        for name, at in changes()
        for shift in (DAY, HOUR)
        for clock in CLOCKS
    ]
    with engine.connect() as connection:
        connection.execute(
            sa.text(
                "insert into crm.contacts (id, organization_id, external_id, timezone)"
                " overriding system value select 900000 + place, 9000, name, name"
                " from unnest(cast(:names as text[])) with ordinality as zone (name, place)"
            ),
            {"names": names},
        )
        connection.execute(read_sql("create_workspace"))
        connection.execute(
            sa.text(
                "insert into planned_steps (step_id, program_id, organization_id, type, is_blocked,"
                " wait_until, config) select place, 1, 9000, 'wait', false, clock, '{}'"
                " from unnest(cast(:clocks as time[])) with ordinality as given (clock, place)"
            ),
            {"clocks": CLOCKS},
        )
        connection.execute(
            sa.text(
                "insert into batch (enrolment_id, organization_id, program_id, contact_id,"
                " step_id, arrived_at, next_step_at, status)"
                " select place, 9000, 1, contact, step, at, at, 'active'"
                " from unnest(cast(:contacts as bigint[]), cast(:steps as bigint[]),"
                " cast(:arrivals as timestamptz[])) with ordinality"
                " as given (contact, step, at, place)"
            ),
            {
                "contacts": [900_001 + names.index(name) for name, *_ in arrivals],
                "steps": [1 + CLOCKS.index(clock) for *_, clock in arrivals],
                "arrivals": [at for _, at, _ in arrivals],
            },
        )
        connection.execute(
            read_sql("begin_wait"), {"type": "wait", "tick": YEARS[1], "zone": "UTC"}
        )
        ends = connection.execute(
            sa.text("select next_step_at from batch order by enrolment_id")
        ).scalars()
        found = list(ends)
        connection.rollback()
    assert len(found) == len(arrivals)
    assert found == [end_of_wait(*arrival) for arrival in arrivals]


def end_of_wait(name: str, arrival: dt.datetime, clock: dt.time) -> dt.datetime:
    zone = ZoneInfo(name)
    day = arrival.astimezone(zone).date()
    while (end := first_instant(day, clock, zone)) < arrival:
        day += DAY
    return end


@pytest.mark.soak
def test_dates_are_on_pythons_days_in_every_zone(shared_installation: Installation) -> None:
    """As rules and date triggers read them: a plain day, local times, and instants at its edges."""
    wrong = []
    texts = sa.cast(sa.bindparam("texts"), pg.JSONB)
    given = (
        sa.func.jsonb_array_elements(texts)
        .table_valued(sa.column("value", pg.JSONB), with_ordinality="place")
        .render_derived(name="given")
    )
    with shared_installation.engine.connect() as connection:
        for name, at in some_changes():
            zone = ZoneInfo(name)
            day = at.astimezone(zone).date()
            span = dates.period(day.isoformat(), at, zone)
            last = span.end - dt.timedelta(seconds=1)
            stored = {
                day.isoformat(): True,
                f"{day}T23:59:59": True,
                span.start.isoformat(): True,
                last.isoformat(): True,
                (day - DAY).isoformat(): False,
                (day + DAY).isoformat(): False,
                span.end.isoformat(): False,
                (span.start - dt.timedelta(seconds=1)).isoformat(): False,
            }
            for op in ("on", "anniversary"):
                rule = Comparison(op=op, value=day.isoformat())
                condition = compare(rule, Document(given.c.value), at, zone)
                query = sa.select(condition).select_from(given).order_by(given.c.place)
                found = connection.execute(query, {"texts": json.dumps(list(stored))}).scalars()
                if list(found) != list(stored.values()):
                    wrong.append((name, op, day))
    assert wrong == []


@pytest.mark.soak
def test_files_are_read_in_their_zone_as_python_reads_it() -> None:
    checker = Checker()
    for name, at in some_changes():
        zone = ZoneInfo(name)
        day = at.astimezone(zone).date()
        texts = [f"{day}T{clock}" for clock in CLOCKS]
        table = checker.query(
            "select read_instant(text, $zone) as instant from batch",
            {"batch": pa.table({"text": texts})},
            {"zone": name},
        )
        found = table["instant"].to_pylist()
        assert found == [first_instant(day, clock, zone) for clock in CLOCKS], name
    checker.close()


@pytest.mark.parametrize(("name", "hours"), SUSPECT.items())
def test_names_that_postgresql_reads_otherwise_have_their_summer_time(
    shared_installation: Installation, name: str, hours: int
) -> None:
    noon = dt.datetime(2027, 7, 1, 12, tzinfo=dt.UTC)
    with shared_installation.engine.connect() as connection:
        [shown] = unnested(
            connection, "ops.local_time(given, starts_at, utc_offsets)", [(name, noon)]
        )
    assert shown - noon.replace(tzinfo=None) == hours * HOUR


@pytest.mark.soak
@soak_only
def test_a_newer_version_of_the_package_writes_the_zones_anew(engine: sa.Engine) -> None:
    settings = Settings()
    with engine.begin() as connection:
        connection.exec_driver_sql("update ops.installation set zones_version = '2020a to 2100'")
        connection.exec_driver_sql("delete from ops.zones where name > 'B'")
    migrate(database_url(settings), settings)
    with engine.connect() as connection:
        assert zone_table.differing(connection, sorted(available_timezones())) == []


def test_an_older_version_of_the_package_leaves_the_zones_of_a_newer_one(
    engine: sa.Engine,
) -> None:
    settings = Settings()
    with engine.begin() as connection:
        connection.exec_driver_sql("update ops.installation set zones_version = '2099a to 2100'")
        connection.exec_driver_sql("update ops.zones set utc_offsets[1] = '7 h' where name = 'UTC'")
    migrate(database_url(settings), settings)
    with engine.connect() as connection:
        assert zone_table.stored_version(connection) == "2099a to 2100"
        assert zone_table.differing(connection, sorted(available_timezones())) == ["UTC"]
    with pytest.raises(ConfigurationError, match=r"of tzdata 2099a and Python .* reads UTC by 20"):
        check_zones()


def test_doctor_names_zones_that_differ_and_names_that_are_none(
    engine: sa.Engine,
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "insert into crm.organizations (external_id, name, timezone) values"
            " ('a', 'A', 'CET'), ('b', 'B', 'Mars/Olympus'), ('c', 'C', 'Europe/Berlin')"
        )
    text = check_zones()
    assert text.startswith("3 in use, all as in tzdata 20")
    assert "1 names are no zones and are passed over, such as 'Mars/Olympus'" in text
    assert "PostgreSQL itself reads CET otherwise" in text
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "update ops.zones set utc_offsets[1] = '7 h' where name = 'Europe/Berlin'"
        )
    with pytest.raises(ConfigurationError, match=r"does not hold .* says of Europe/Berlin"):
        check_zones()
