"""One bad item never stops the rest."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.runs.tags import TICK_TAG
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines_tests.probe import KEY, run_probe


def run_items(
    engine: sa.Engine, items: Iterable[str], broken: set[str], tick: str = "2026-03-01T12:00:00Z"
) -> Any:
    """A run that writes one organization per item, and then fails for the broken ones."""

    def body(frame: Tick) -> None:
        with frame.begin() as connection:
            for item in frame.items(connection, items):
                with item as name:
                    connection.execute(
                        sa.text(
                            "insert into crm.organizations (external_id) values (:name)"
                            " on conflict do nothing"
                        ),
                        {"name": name},
                    )
                    if name in broken:
                        connection.exec_driver_sql("select 1/0")

    return run_probe(engine, body, tags={TICK_TAG: tick})


def written(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return list(
            connection.execute(
                sa.text("select external_id from crm.organizations order by 1")
            ).scalars()
        )


def failures(engine: sa.Engine) -> dict[str, int]:
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("select item, consecutive from ops.item_failures where job = :job"),
            {"job": KEY},
        )
        return {row.item: row.consecutive for row in rows}


def last_session(engine: sa.Engine, columns: str) -> tuple[Any, ...]:
    with engine.connect() as connection:
        statement = f"select {columns} from ops.job_sessions order by id desc limit 1"
        return tuple(connection.execute(sa.text(statement)).one())


def test_one_failing_item_leaves_the_others_committed(engine: sa.Engine) -> None:
    result = run_items(engine, "abc", {"b"})
    assert result.success
    assert written(engine) == ["a", "c"]
    assert last_session(engine, "status, items_ok, items_failed") == ("COMPLETED", 2, 1)
    [materialization] = result.asset_materializations_for_node("probe__outcome")
    assert materialization.metadata["items_ok"].value == 2
    assert materialization.metadata["items_failed"].value == 1


def test_failures_in_a_row_are_counted_once_per_tick(engine: sa.Engine) -> None:
    run_items(engine, "abc", {"b"}, tick="2026-03-01T12:00:00Z")
    run_items(engine, "abc", {"b"}, tick="2026-03-01T12:00:00Z")
    assert failures(engine) == {"b": 1}
    run_items(engine, "abc", {"b", "c"}, tick="2026-03-01T12:05:00Z")
    assert failures(engine) == {"b": 2, "c": 1}


def test_a_success_ends_the_row_of_failures(engine: sa.Engine) -> None:
    run_items(engine, "ab", {"b"}, tick="2026-03-01T12:00:00Z")
    run_items(engine, "ab", set(), tick="2026-03-01T12:05:00Z")
    assert failures(engine) == {}
    run_items(engine, "ab", {"b"}, tick="2026-03-01T12:10:00Z")
    assert failures(engine) == {"b": 1}


def test_a_failure_keeps_its_first_and_latest_tick_and_its_reason(engine: sa.Engine) -> None:
    run_items(engine, "ab", {"b"}, tick="2026-03-01T12:00:00Z")
    run_items(engine, "ab", {"b"}, tick="2026-03-01T12:05:00Z")
    with engine.connect() as connection:
        [(first, last, error)] = connection.execute(
            sa.text(
                "select to_char(first_failed_at at time zone 'UTC', 'HH24:MI'),"
                " to_char(last_failed_at at time zone 'UTC', 'HH24:MI'), error"
                " from ops.item_failures"
            )
        ).all()
    assert (first, last) == ("12:00", "12:05")
    assert "division by zero" in error


def test_a_run_of_which_every_item_failed_fails_and_is_tried_again(engine: sa.Engine) -> None:
    broken = {"a", "b"}
    attempts: list[int] = []

    def body(frame: Tick) -> None:
        attempts.append(frame.context.retry_number)
        with frame.begin() as connection:
            for item in frame.items(connection, "ab"):
                with item as name:
                    if name in broken and not frame.context.retry_number:
                        raise LookupError("gone")

    assert run_probe(engine, body).success
    assert attempts == [0, 1]
    with engine.connect() as connection:
        sessions = connection.execute(
            sa.text("select status, error, items_failed from ops.job_sessions order by id")
        )
        assert [tuple(row) for row in sessions] == [
            ("FAILED", f"Every item of {KEY} failed, the last with: b: gone", 2),
            ("COMPLETED", None, None),
        ]
    assert failures(engine) == {}


def test_a_job_without_items_to_do_succeeds(engine: sa.Engine) -> None:
    assert run_items(engine, [], set()).success
    assert last_session(engine, "status, items_ok") == ("COMPLETED", None)


def test_a_lost_connection_is_no_failure_of_an_item(engine: sa.Engine) -> None:
    attempts: list[int] = []

    def body(frame: Tick) -> None:
        attempts.append(frame.context.retry_number)
        with frame.begin() as connection:
            for item in frame.items(connection, "ab"):
                with item:
                    pid = connection.exec_driver_sql("select pg_backend_pid()").scalar_one()
                    if len(attempts) == 1:
                        with engine.begin() as other:
                            other.exec_driver_sql(f"select pg_terminate_backend({pid}, 10000)")
                    connection.exec_driver_sql("select 1")

    assert run_probe(engine, body).success
    assert attempts == [0, 1]
    assert failures(engine) == {}
    assert last_session(engine, "status, items_ok") == ("COMPLETED", 2)
