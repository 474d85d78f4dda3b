"""The files of `schema/` and the database hold the same functions, views, triggers and rights."""

from importlib import resources
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from marketing_pipelines import documentation
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import schema_files
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines.stores.schema import migrate
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.stores.catalog import SCHEMAS, read_catalog

FORMER_RELEASE = "0008"
SUPPRESS = "functions/delivery/suppress.sql"
FIRST_DAY = "functions/campaigns/first_day.sql"

OBJECTS = sa.text("""
    select 'view if exists ' || oid::regclass from pg_class
    where relkind = 'v' and relnamespace::regnamespace::text = any(:schemas)
    union all
    select 'function if exists ' || oid::regprocedure from pg_proc
    where pronamespace::regnamespace::text = any(:schemas)
""")


INDEXES_OVER_FUNCTIONS = sa.text(
    "select indexdef from pg_indexes where indexdef like '%delivery.address_of(%'"
)


def stored(connection: sa.Connection) -> set[str]:
    """The paths that the files of the database's functions, views and triggers must have."""
    paths = connection.execute(schema_files._EXISTING).scalars()
    return {path for path in paths if path.split("/")[1] in SCHEMAS}


def test_every_function_view_and_trigger_has_its_file_and_every_file_is_in_the_database(
    shared_installation: Installation,
) -> None:
    files = {path for path in schema_files.files() if path.startswith(schema_files.OBJECTS)}
    assert len(files) > 100
    with shared_installation.engine.connect() as connection:
        assert stored(connection) == files


def test_the_files_alone_make_the_functions_views_triggers_and_rights_of_the_database(
    shared_installation: Installation,
) -> None:
    with shared_installation.engine.connect() as connection:
        before = read_catalog(connection)
        indexes = connection.execute(INDEXES_OVER_FUNCTIONS).scalars().all()
        for name in connection.execute(OBJECTS, {"schemas": list(SCHEMAS)}).scalars().all():
            connection.exec_driver_sql(f"drop {name} cascade")
        for schema in SCHEMAS:
            connection.exec_driver_sql(f"revoke all on schema {schema} from marketing_reader")
            connection.exec_driver_sql(
                f"revoke all on all tables in schema {schema} from marketing_reader"
            )
        assert stored(connection) == set()
        schema_files.apply(connection)
        # An index goes with the function that it calls; migrations make indexes.
        for definition in indexes:
            connection.exec_driver_sql(definition)
        assert read_catalog(connection) == before
        connection.rollback()


def test_a_database_of_the_former_release_gets_the_schema_of_a_new_one(
    new_database: Any, shared_installation: Installation
) -> None:
    settings = Settings(database_url=new_database("template0"))
    config = Config()
    folder = resources.files("marketing_pipelines.migrations")
    config.set_main_option("script_location", str(folder))
    engine = create_engine(database_url(settings))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, FORMER_RELEASE)
        connection.exec_driver_sql("insert into ops.installation (id, timezone) values (1, 'UTC')")
        connection.commit()
    migrate(database_url(settings), settings)
    with engine.connect() as migrated, shared_installation.engine.connect() as new:
        assert read_catalog(migrated) == read_catalog(new)
    engine.dispose()


def test_a_changed_file_is_applied_and_one_of_a_newer_release_stays(
    engine: sa.Engine, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings()
    original = schema_files.files()
    newer = original[SUPPRESS].replace("    return null;", "    return null; -- newer")
    use(monkeypatch, original | {SUPPRESS: newer})
    migrate(database_url(settings), settings)
    assert "-- newer" in body_of_suppress(engine)

    use(monkeypatch, original)
    with engine.begin() as connection:
        connection.exec_driver_sql("update ops.schema_files set release = '99.0.0'")
    migrate(database_url(settings), settings)
    assert "-- newer" in body_of_suppress(engine)

    with engine.begin() as connection:
        connection.exec_driver_sql("update ops.schema_files set release = '0.0.1'")
    migrate(database_url(settings), settings)
    assert "-- newer" not in body_of_suppress(engine)


def test_a_release_applies_its_files_over_those_of_its_candidate(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("update ops.schema_files set sha256 = '', release = '1.2.0rc1'")
        connection.commit()
        for release, is_older in (("1.2.0", False), ("1.1.9", True), ("1.10.0", False)):
            with pytest.MonkeyPatch.context() as monkeypatch:
                monkeypatch.setattr(schema_files, "_release", lambda own=release: own)
                assert schema_files.are_applied(connection) is is_older


def test_a_view_that_a_migration_dropped_comes_back_with_rights_and_comments(
    shared_installation: Installation,
) -> None:
    with shared_installation.engine.connect() as connection:
        before = read_catalog(connection)
        connection.exec_driver_sql("drop view analytics.contacts, lifecycle.programs cascade")
        schema_files.apply(connection)
        assert read_catalog(connection) == before
        connection.rollback()


def test_a_failing_file_leaves_the_database_as_it_was(
    engine: sa.Engine, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, texts = Settings(), schema_files.files()
    changed = texts[FIRST_DAY].replace("'draft', ", "")
    with engine.connect() as connection:
        before = read_catalog(connection)
    use(monkeypatch, texts | {FIRST_DAY: changed, SUPPRESS: "create function nothing"})
    with pytest.raises(ConfigurationError, match=f"schema/{SUPPRESS} cannot be applied: syntax"):
        migrate(database_url(settings), settings)
    with engine.connect() as connection:
        assert read_catalog(connection) == before


def test_the_comments_are_those_of_the_tables() -> None:
    generated = documentation.comments()
    assert {f"{schema}.sql" for schema in SCHEMAS} == set(generated)
    for name, text in generated.items():
        written = (documentation.COMMENTS / name).read_text(encoding="utf-8")
        assert written == text, f"schema/comments/{name} is stale: run `make docs`"


def use(monkeypatch: pytest.MonkeyPatch, texts: Any) -> None:
    """Lets the release have these files."""
    monkeypatch.setattr(schema_files, "files", lambda: texts)
    schema_files._digests.cache_clear()


@pytest.fixture(autouse=True)
def forget_digests() -> Any:
    """Later tests see the files as they are."""
    yield
    schema_files._digests.cache_clear()


def body_of_suppress(engine: sa.Engine) -> str:
    """The function as the database has it."""
    with engine.connect() as connection:
        return str(
            connection.exec_driver_sql(
                "select prosrc from pg_proc where oid = 'delivery.suppress'::regproc"
            ).scalar_one()
        )
