"""A database that was emptied is as a new one; one that is not is used once."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines_tests.conftest import DAGSTER_TEMPLATE, TEMPLATE, new_one
from marketing_pipelines_tests.emptying import EMPTY, Databases

TABLES = """
    select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema')
"""
NUMBERS = "select schemaname || '.' || sequencename, last_value from pg_sequences"
ORGANIZATION = "insert into crm.organizations (external_id) values ('acme')"
RUN = "insert into runs (run_id) values ('r')"


def found(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """The number of rows of each table, and the latest number of each sequence."""
    tables = [name for (name,) in connection.execute(TABLES)]
    counts = " union all ".join(f"select '{name}', count(*) from {name}" for name in tables)
    return {**dict(connection.execute(counts)), **dict(connection.execute(NUMBERS))}


@pytest.mark.parametrize(
    ("template", "insert"), [(TEMPLATE, ORGANIZATION), (DAGSTER_TEMPLATE, RUN)]
)
def test_an_emptied_database_has_the_rows_and_numbers_of_a_new_one(
    new_database: Any, template: str, insert: str
) -> None:
    with psycopg.connect(new_database(template), autocommit=True) as connection:
        new = found(connection)
        connection.execute(insert)
        assert found(connection) != new
        connection.execute(EMPTY)
        assert found(connection) == new


def url_after(databases: Databases, *statements: str) -> str:
    """The database that is lent next, after one in which these were done."""
    with databases.one() as url, psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
    with databases.one() as following:
        return "the same" if following == url else "another"


@pytest.fixture
def lent(server: EmbeddedPostgres) -> Iterator[Databases]:
    databases = Databases(lambda: new_one(server))
    yield databases
    databases.close()


def test_a_database_of_which_only_rows_change_is_used_again(lent: Databases) -> None:
    stage = "create temporary table stage (id int)"
    assert url_after(lent, ORGANIZATION, stage) == "the same"


@pytest.mark.parametrize(
    "statement",
    [
        "alter table crm.contacts alter column phone set default '1'",
        "alter table crm.contacts disable trigger all",
        "create table ops.recorded (id int)",
        "create function refuse() returns int language sql return 1",
        "update ops.installation set timezone = 'Asia/Kolkata'",
        "revoke select on crm.contacts from marketing_reader",
        f"{ORGANIZATION}; analyze crm.organizations",
    ],
)
def test_a_database_that_changed_otherwise_is_used_once(lent: Databases, statement: str) -> None:
    assert url_after(lent, *statement.split("; ")) == "another"
