"""A database that was emptied is as a new one."""

from typing import Any

import psycopg
import pytest

from marketing_pipelines_tests.conftest import DAGSTER_TEMPLATE, TEMPLATE
from marketing_pipelines_tests.emptying import EMPTY

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
