"""Results do not rest on the settings of a role, a database or a pooler."""

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import procrastinate
import pytest
import sqlalchemy as sa

from marketing_pipelines.documentation import DOCS
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import create_engine, fast_reader, libpq_uri
from marketing_pipelines.stores.schema import migrate, require_supported_server
from marketing_pipelines.stores.session_settings import SETTINGS, prepare_async
from marketing_pipelines_tests.analytics import esp
from marketing_pipelines_tests.cli.console import call, refusal
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import count, event, stored
from marketing_pipelines_tests.pooler import IN_TURN, SESSION, TRANSACTION, pooled
from marketing_pipelines_tests.scale import soak_only

# The settings of a server in Germany, and others that change what is stored or read.
GERMAN = {
    "TimeZone": "Europe/Berlin",
    "DateStyle": "German, DMY",
    "IntervalStyle": "iso_8601",
    "client_encoding": "LATIN1",
    "search_path": "pg_catalog",
    "extra_float_digits": "0",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "default_transaction_isolation": "serializable",
}


@pytest.fixture
def german(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The role has other settings in this database; nothing of the environment hides them."""
    monkeypatch.delenv("PGTZ", raising=False)
    with engine.begin() as connection:
        for name, value in (GERMAN | {"synchronous_commit": "off"}).items():
            connection.exec_driver_sql(
                f"alter role marketing in database {engine.url.database} set {name} to {value!r}"
                if name not in ("DateStyle", "search_path")
                else f"alter role marketing in database {engine.url.database} set {name} to {value}"
            )
    yield
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"alter role marketing in database {engine.url.database} reset all"
        )


def test_every_setting_is_tried_with_another_value() -> None:
    assert GERMAN.keys() == SETTINGS.keys()
    assert not GERMAN.items() & SETTINGS.items()


def test_the_pooler_of_these_tests_has_the_documented_settings() -> None:
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert [line for line in SESSION.split("\n") if line not in page] == []


@pytest.mark.usefixtures("german")
def test_connections_of_every_driver_have_our_settings(engine: sa.Engine) -> None:
    names = [*SETTINGS, "synchronous_commit"]
    query = "select " + ", ".join(f"current_setting('{name}')" for name in names)
    wanted = (*SETTINGS.values(), "on")
    with create_engine(engine.url).connect() as connection:
        assert tuple(connection.exec_driver_sql(query).one()) == wanted
        connection.rollback()
        assert tuple(connection.exec_driver_sql(query).one()) == wanted
    with fast_reader(engine.url) as source, source.cursor() as cursor:
        cursor.execute(query)
        assert cursor.fetchall() == [wanted]
    assert asyncio.run(_seen_by_a_worker(engine, query)) == wanted


async def _seen_by_a_worker(engine: sa.Engine, query: Any) -> tuple[Any, ...]:
    connector = procrastinate.PsycopgConnector(
        conninfo=libpq_uri(engine.url), configure=prepare_async, min_size=1, max_size=1
    )
    app = procrastinate.App(connector=connector)
    async with app.open_async(), connector.pool.connection() as connection:
        row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return tuple(row)


@pytest.mark.usefixtures("german")
@pytest.mark.parametrize(
    "through",
    [
        pytest.param("the server itself", marks=[pytest.mark.soak, soak_only]),
        pytest.param("PgBouncer in session mode", marks=[pytest.mark.soak, soak_only]),
    ],
)
def test_a_role_with_german_settings_loads_and_counts_the_same(
    through: str,
    installation: Installation,
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if through == "the server itself":
        _load_and_compare(installation.settings, installation, shared_data)
        return
    direct = installation.engine.url.render_as_string(hide_password=False)
    with pooled(direct, SESSION) as url:
        monkeypatch.setenv("MARKETING_DATABASE_URL", url)
        _load_and_compare(Settings(), installation, shared_data)


def _load_and_compare(settings: Settings, installation: Installation, shared_data: Path) -> None:
    url = sa.make_url(str(settings.database_url)).set(drivername="postgresql+psycopg")
    migrate(url, settings)
    through = Installation(settings, create_engine(url), lambda: installation.instance)
    result = through.load("events", shared_data / esp.FILE)
    assert (result.loaded, result.rejected) == (747, 0)
    through.run_marked()
    esp.assert_equal_to_expected(installation, shared_data)


@pytest.mark.usefixtures("german")
def test_a_role_with_german_settings_counts_some_events_the_same(
    installation: Installation, tmp_path: Path
) -> None:
    rows = [
        event(n, f"2026-03-01T{n % 24:02}:30:00.{n:06}+01:00", contact_id=f"c{n % 5}")
        for n in range(30)
    ]
    through = Installation(
        installation.settings, create_engine(installation.engine.url), lambda: installation.instance
    )
    result = through.load_events(tmp_path, rows)
    assert (result.loaded, result.rejected) == (30, 0)
    through.run("analytics/event_aggregates", "2026-02-28", "2026-03-01")
    for grain in ("hour", "day"):
        assert stored(installation, grain) == count(rows, grain)


@pytest.mark.parametrize("settings", [TRANSACTION, IN_TURN], ids=["last used first", "in turn"])
def test_a_transaction_pooler_is_refused_twenty_times_of_twenty(
    engine: sa.Engine, settings: str
) -> None:
    direct = engine.url.render_as_string(hide_password=False)
    with pooled(direct, settings) as url:
        pool = create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
        for _ in range(20):
            with (
                pool.connect() as connection,
                pytest.raises(ConfigurationError, match="points at a transaction pooler"),
            ):
                require_supported_server(connection)


@pytest.mark.soak
@soak_only
def test_commands_refuse_a_transaction_pooler_and_take_a_session_pooler(
    environment: dict[str, str],
) -> None:
    with pooled(environment["MARKETING_DATABASE_URL"], IN_TURN) as url:
        assert "transaction pooler" in refusal("query", "select 1", MARKETING_DATABASE_URL=url)
    with pooled(environment["MARKETING_DATABASE_URL"], SESSION) as url:
        done = call("migrate", MARKETING_DATABASE_URL=url)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_role_whose_triggers_do_not_fire_is_refused(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"alter role marketing in database {engine.url.database}"
            " set session_replication_role to replica"
        )
    with (
        create_engine(engine.url).connect() as connection,
        pytest.raises(ConfigurationError, match="has session_replication_role = 'replica'"),
    ):
        require_supported_server(connection)


def test_events_are_stored_at_their_instants_whatever_zone_the_session_has(
    installation: Installation, tmp_path: Path
) -> None:
    """Even where a setting was changed later: instants cross with their zone."""
    url = installation.engine.url
    kolkata = sa.create_engine(url, poolclass=sa.pool.NullPool)
    sa.event.listen(
        kolkata, "connect", lambda driver, _: driver.execute("set timezone = 'Asia/Kolkata'")
    )
    other = Installation(installation.settings, kolkata, lambda: installation.instance)
    other.load_events(tmp_path, [{"event_id": "e1", "occurred_at": "2026-03-01T12:00:00+01:00"}])
    other.load_events(
        tmp_path,
        [
            {
                "event_id": "e1",
                "occurred_at": "2026-03-01T11:30:00Z",
                "received_at": "2026-03-01T11:30:00Z",
            }
        ],
    )
    assert installation.rows("select occurred_at from analytics.contact_activity") == [
        (dt.datetime(2026, 3, 1, 11, 30, tzinfo=dt.UTC),)
    ]
