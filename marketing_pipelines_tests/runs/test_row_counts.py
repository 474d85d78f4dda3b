"""The row count of a run is cheap: large tables are estimated, also before the first analyze."""

import pytest
import sqlalchemy as sa

from marketing_pipelines.runs import row_counts


@pytest.fixture
def tables(engine: sa.Engine) -> sa.Engine:
    """A table of 300,000 rows, plain and in two partitions, and a small one; none analyzed."""
    with engine.begin() as connection:
        for statement in (
            "create schema counted",
            "create table counted.large (id int, note text) with (autovacuum_enabled = off)",
            "create table counted.small (id int) with (autovacuum_enabled = off)",
            "create table counted.parts (id int, note text) partition by range (id)",
            "create table counted.first partition of counted.parts for values from (0) to (150000)"
            " with (autovacuum_enabled = off)",
            "create table counted.rest partition of counted.parts"
            " for values from (150000) to (300001) with (autovacuum_enabled = off)",
            "insert into counted.large select i, repeat('x', 60) from generate_series(1, 300000) i",
            "insert into counted.parts select * from counted.large",
            "insert into counted.small select generate_series(1, 7)",
        ):
            connection.exec_driver_sql(statement)
    return engine


def test_large_tables_are_estimated_before_and_after_the_first_analyze(
    tables: sa.Engine,
) -> None:
    with tables.begin() as connection:
        counts: list[str] = []
        sa.event.listen(
            connection, "before_cursor_execute", lambda *seen: counts.append(str(seen[2]))
        )
        for relation in ("large", "parts"):
            found = row_counts.of_table(connection, "no/partitions", f"counted.{relation}")
            assert 200_000 < found < 400_000
            connection.exec_driver_sql(f"analyze counted.{relation}")
            found = row_counts.of_table(connection, "no/partitions", f"counted.{relation}")
            assert found == pytest.approx(300_000, rel=0.01)
        assert not any("count(" in statement for statement in counts)
        assert row_counts.of_table(connection, "no/partitions", "counted.small") == 7
        assert any("count(" in statement for statement in counts)
