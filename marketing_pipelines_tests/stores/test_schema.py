"""The migrations build the tables that SQLAlchemy declares."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import marketing_pipelines
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.migrations.autogenerate import comparison
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines.stores.schema import migrate, require_supported_server
from marketing_pipelines.stores.tables import load_tables
from marketing_pipelines_tests import given_program
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.stores.catalog import SCHEMAS
from marketing_pipelines_tests.waiting import until

PACKAGE = Path(marketing_pipelines.__file__).parent


def test_the_migrated_database_equals_the_declared_tables(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=comparison())
        assert compare_metadata(context, load_tables()) == []


def test_every_check_constraint_of_the_tables_is_in_the_database(engine: sa.Engine) -> None:
    declared = {
        (table.fullname, str(constraint.name))
        for table in load_tables().tables.values()
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
    }
    with engine.connect() as connection:
        stored = connection.exec_driver_sql(
            "select conrelid::regclass::text, conname from pg_constraint"
            " join pg_namespace on pg_namespace.oid = connamespace"
            " where contype = 'c' and nspname = any(%s)"
            " and not exists (select from pg_inherits where inhrelid = conrelid)",
            (list(SCHEMAS),),
        )
        assert {(table, f"{name}") for table, name in stored} == {
            (table, name) for table, name in declared
        }


def test_migrating_again_changes_nothing(engine: sa.Engine, environment: dict[str, str]) -> None:
    settings = Settings()
    migrate(database_url(settings), settings)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("select id, timezone from ops.installation").all()
    assert rows == [(1, "UTC")]


@pytest.mark.soak
@soak_only
def test_two_processes_that_migrate_at_once_both_succeed(new_database: Any) -> None:
    url = new_database("template0")
    code = (
        "from marketing_pipelines.settings import Settings\n"
        "from marketing_pipelines.stores.postgres import database_url\n"
        "from marketing_pipelines.stores.schema import migrate\n"
        f"settings = Settings(database_url={url!r})\n"
        "migrate(database_url(settings), settings)\n"
    )
    processes = [given_program.start(code) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]


def test_a_schema_of_a_newer_release_is_refused(
    engine: sa.Engine, environment: dict[str, str]
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("update public.alembic_version set version_num = '9999'")
    settings = Settings()
    with pytest.raises(ConfigurationError, match="schema 9999, which this release does not know"):
        migrate(database_url(settings), settings)


def test_two_heads_of_migrations_are_refused_where_one_of_them_has_run(
    engine: sa.Engine, environment: dict[str, str], tmp_path: Path
) -> None:
    copy = shutil.copytree(
        PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__")
    )
    newest = max((copy / "migrations" / "versions").glob("0*.py"))
    with engine.connect() as connection:
        [head] = connection.exec_driver_sql("select version_num from public.alembic_version").one()
    second = newest.read_text().replace(f'revision = "{head}"', 'revision = "0000x"', 1)
    newest.with_name("0000x_second.py").write_text(second)
    migrated = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", PACKAGE.name, "migrate"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (migrated.returncode, migrated.stdout, migrated.stderr) == (
        1,
        "",
        f"marketing-pipelines: Migrations 0000x and {head} both end the row of migrations: make "
        "one follow the other by its down_revision.\n",
    )


def test_another_zone_than_the_stored_one_is_refused(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETING_TIMEZONE", "Asia/Kolkata")
    settings = Settings()
    with pytest.raises(ConfigurationError, match="the stored days are those of UTC"):
        migrate(database_url(settings), settings)


def test_a_server_of_this_version_is_supported(engine: sa.Engine) -> None:
    with create_engine(engine.url).connect() as connection:
        require_supported_server(connection)


def test_two_who_find_a_month_missing_both_find_it_made(engine: sa.Engine) -> None:
    make = sa.text("select analytics.ensure_activity_month('2026-03-01')")

    def wait_and_make() -> None:
        with engine.begin() as connection:
            connection.execute(make)

    with ThreadPoolExecutor(1) as pool, engine.connect() as first:
        first.execute(make)
        second = pool.submit(wait_and_make)
        until(lambda: _somebody_waits(engine), what="the second to wait for the first")
        first.commit()
        second.result(60)


def _somebody_waits(engine: sa.Engine) -> bool:
    waiting = sa.text(
        "select 1 from pg_locks where not granted and database ="
        " (select oid from pg_database where datname = current_database())"
    )
    with engine.connect() as connection:
        return connection.execute(waiting).first() is not None


def test_the_installed_procrastinate_has_no_script_that_our_migrations_do_not_know() -> None:
    scripts = resources.files("procrastinate").joinpath("sql", "migrations").iterdir()
    newest = max(script.name for script in scripts if script.name.endswith(".sql"))
    assert newest == "03.04.00_50_post_add_retry_failed_job_procedure.sql"
