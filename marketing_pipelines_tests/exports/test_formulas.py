"""Texts that are formulas for a spreadsheet, alike in Python, PostgreSQL and DuckDB."""

import duckdb
import pytest
import sqlalchemy as sa
from psycopg import sql

from marketing_pipelines.domains.exports.formulas import defused, defused_duckdb, defused_sql
from marketing_pipelines.loading.csv_files import _FORMULA
from marketing_pipelines.stores.postgres import raw_cursor
from marketing_pipelines_tests.installation import Installation

HARMLESS = (
    "", "a", "12", "-5", "+5", "-1,234.56", "-12.5e3", "+4930123456", "+49 30 1234567",
    "+49 (0)30/123-4567", "'tis", "''", "a=1", "é=1", "(=1", "0+1", " =1",
)  # fmt: skip
FORMULAS = (
    "=1+1", "@x", "\tx", "\rx", "+1+1", "-1+1", "-abc", "+abc", "+", "-", "'=x", "''@x", "'+1",
    "'-5", "+49 30 123456 ext 5", "+49301234567=1", "+1234567\n", "-5\n", "+12345678901234567",
    "+1234567-", "+12345+67", "-49 30 1234567",
)  # fmt: skip


@pytest.mark.parametrize("text", [*HARMLESS, *FORMULAS])
def test_a_quote_goes_before_formulas_only_and_load_takes_it_off(text: str) -> None:
    is_number = text in ("+12345678901234567",)
    expected = text if text in HARMLESS or is_number else f"'{text}"
    assert defused(text) == expected
    assert _FORMULA.sub(r"\1", expected) == text


def test_postgres_and_duckdb_agree(shared_installation: Installation) -> None:
    texts = [*HARMLESS, *FORMULAS]
    expected = [defused(text) for text in texts]
    query = sql.SQL("select {} from unnest(%s::text[]) with ordinality as t (v, n) order by n")
    with shared_installation.engine.connect() as connection:
        cursor = raw_cursor(connection)
        rows = cursor.execute(query.format(defused_sql(sql.Identifier("v"))), [texts]).fetchall()
        assert [row[0] for row in rows] == expected
        assert connection.execute(sa.text("select 1")).scalar_one() == 1
    found = duckdb.execute(f"select {defused_duckdb('v')} from (select unnest(?) as v)", [texts])
    assert [row[0] for row in found.fetchall()] == expected
