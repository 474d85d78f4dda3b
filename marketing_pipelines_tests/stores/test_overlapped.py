"""A statement that the server does while the caller does something else."""

import psycopg
import pytest
import sqlalchemy as sa

from marketing_pipelines.stores.overlapped import Overlapped
from marketing_pipelines.stores.postgres import committing_each

STATEMENT = "select $1::integer / $2::integer, $3::text"


def answer(statement: Overlapped) -> list[tuple[str | None, ...]]:
    statement.send([1, 1, None])
    return statement.receive()


def test_rows_come_as_text_and_the_connection_prepares_once(engine: sa.Engine) -> None:
    with committing_each(engine) as connection:
        for _ in range(2):
            statement = Overlapped(connection, "divide", STATEMENT)
            statement.send([7, 2, "é"])
            assert statement.receive() == [("3", "é")]
        statement.send([8, 2, None])
        assert statement.receive() == [("4", None)]
        prepared = connection.execute(sa.text("select name from pg_prepared_statements"))
        assert "divide" in prepared.scalars().all()


def test_it_is_there_again_after_a_rollback_at_which_psycopg_deallocates_what_it_prepared(
    pooled_engine: sa.Engine,
) -> None:
    with committing_each(pooled_engine) as connection:
        assert answer(Overlapped(connection, "divide", STATEMENT)) == [("1", None)]
    with pooled_engine.connect() as connection:
        for number in range(10):
            connection.execute(sa.select(sa.literal(number)))
        assert connection.exec_driver_sql("select count(*) from pg_prepared_statements").scalar()
        connection.rollback()
        gone = "select from pg_prepared_statements where name = 'divide'"
        assert connection.exec_driver_sql(gone).all() == []
    with committing_each(pooled_engine) as connection:
        assert answer(Overlapped(connection, "divide", STATEMENT)) == [("1", None)]


def test_an_error_is_raised_and_the_connection_goes_on(engine: sa.Engine) -> None:
    with committing_each(engine) as connection:
        statement = Overlapped(connection, "divide", STATEMENT)
        statement.send([1, 0, None])
        with pytest.raises(psycopg.errors.DivisionByZero):
            statement.receive()
        statement.send([1, 1, None])
        assert statement.receive() == [("1", None)]
        statement.close()
        assert not connection.invalidated


def test_a_connection_whose_answer_nobody_took_is_given_up(engine: sa.Engine) -> None:
    with committing_each(engine) as connection:
        statement = Overlapped(connection, "divide", STATEMENT)
        statement.send([1, 1, None])
        statement.close()
        assert connection.invalidated


def test_a_server_that_is_gone_is_an_error(engine: sa.Engine) -> None:
    with committing_each(engine) as connection:
        statement = Overlapped(connection, "divide", STATEMENT)
        own = connection.execute(sa.text("select pg_backend_pid()")).scalar_one()
        with engine.begin() as other:
            other.execute(sa.text("select pg_terminate_backend(:own, 5000)"), {"own": own})
        with pytest.raises(psycopg.OperationalError):
            answer(statement)
        connection.invalidate()
