"""Endpoints of the operator get ended jobs, alerts and changes of health, each once."""

import datetime as dt

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.webhooks import endpoints, replaying, tasks
from marketing_pipelines.domains.webhooks.publishing import OPERATIONS, publish_operations
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.webhooks.world import Receiver, WebhookWorld

DAY = dt.timedelta(days=1)


@pytest.fixture
def operated(hooked: WebhookWorld, receiver: Receiver) -> WebhookWorld:
    """An endpoint of the operator, of an hour ago, and one of an organization for all types."""
    for organization_id in (None, hooked.organization):
        with hooked.begin() as connection:
            endpoints.add(
                connection,
                get_settings(),
                organization_id,
                receiver.url,
                [],
                hooked.now - dt.timedelta(hours=1),
            )
    return hooked


def published(world: WebhookWorld) -> int:
    with world.begin() as connection:
        written = publish_operations(connection, world.now - DAY, world.now)
        tasks.ring(connection, written)
    world.work()
    return len(written)


def session(
    world: WebhookWorld, status: str, *, will_retry: bool = False, minutes: int = 1
) -> None:
    world.installation.execute(
        "insert into ops.job_sessions (job, trigger, tick, status, started_at, ended_at, error,"
        " will_retry) values ('leads/lead_scores', 'schedule', :at, :status, :at, :at, :error,"
        " :will_retry)",
        at=world.now - dt.timedelta(minutes=minutes),
        status=status,
        error=None if status == "COMPLETED" else "It failed.",
        will_retry=will_retry,
    )


def test_ended_sessions_are_told_once_and_to_the_operator_alone(
    operated: WebhookWorld, receiver: Receiver
) -> None:
    session(operated, "COMPLETED")
    session(operated, "FAILED")
    session(operated, "FAILED", will_retry=True)
    session(operated, "SKIPPED_OVERLAP")
    session(operated, "COMPLETED", minutes=61)
    assert published(operated) == 1
    assert published(operated) == 0
    told = sorted((got.json["type"], got.json["data"]["status"]) for got in receiver.requests)
    assert told == [("job.completed", "COMPLETED"), ("job.failed", "FAILED")]
    [failed] = [got for got in receiver.requests if got.json["type"] == "job.failed"]
    assert failed.json["data"]["job"] == "leads/lead_scores"
    assert failed.json["data"]["error"] == "It failed."
    assert failed.event_id.startswith("session:")


def test_alerts_and_changes_of_health_are_told(operated: WebhookWorld, receiver: Receiver) -> None:
    operated.installation.execute(
        "with incident as (insert into ops.incidents (subject, failures, error)"
        " values ('leads/lead_scores', 3, 'It failed.') returning id)"
        " insert into ops.alerts (incident_id, kind, due_at) select id, kind, now()"
        " from incident, unnest(array['first', 'third']) as kind"
    )
    for minute, status in enumerate(["healthy", "healthy", "degraded", "degraded", "healthy"]):
        operated.installation.execute(
            "insert into ops.health_reports (at, status, report)"
            " values (:at, :status, jsonb_build_object('reasons', array[cast(:status as text)]))",
            at=operated.now - dt.timedelta(minutes=30 - minute),
            status=status,
        )
    operated.now += dt.timedelta(seconds=1)
    published(operated)
    told = sorted(
        (got.json["type"], got.json["data"].get("to", got.json["data"].get("subject")))
        for got in receiver.requests
    )
    assert told == [
        ("alert.first", "leads/lead_scores"),
        ("alert.third", "leads/lead_scores"),
        ("health.changed", "degraded"),
        ("health.changed", "healthy"),
    ]


def test_two_changes_of_health_within_a_second_are_two_events(
    operated: WebhookWorld, receiver: Receiver
) -> None:
    for milliseconds, status in enumerate(["healthy", "degraded", "healthy"]):
        operated.installation.execute(
            "insert into ops.health_reports (at, status, report) values (:at, :status, '{}')",
            at=operated.now.replace(microsecond=milliseconds * 1_000) - dt.timedelta(minutes=5),
            status=status,
        )
    published(operated)
    assert [got.json["data"]["to"] for got in receiver.requests] == ["degraded", "healthy"]
    assert len(set(receiver.event_ids)) == 2


def test_events_of_the_time_while_an_endpoint_was_disabled_are_left_to_a_replay(
    operated: WebhookWorld, receiver: Receiver
) -> None:
    [[number]] = operated.installation.rows(
        "select id from webhooks.endpoints where organization_id is null"
    )
    session(operated, "COMPLETED", minutes=30)
    with operated.begin() as connection:
        endpoints.disable(connection, number, operated.now - dt.timedelta(minutes=20))
    session(operated, "FAILED", minutes=10)
    assert published(operated) == 0
    with operated.begin() as connection:
        endpoints.enable(connection, number, operated.now - dt.timedelta(minutes=5))
    session(operated, "CANCELED", minutes=1)
    assert published(operated) == 1
    assert [got.json["data"]["status"] for got in receiver.requests] == ["CANCELED"]
    with operated.begin() as connection:
        made = replaying.replay(
            connection, number, operated.now - dt.timedelta(minutes=15), operated.now
        )
    assert made == replaying.ReplayedDeliveries(missing=1, again=0)
    operated.work()
    assert [got.json["data"]["status"] for got in receiver.requests] == ["CANCELED", "FAILED"]


def test_an_endpoint_that_is_enabled_twice_misses_nothing(
    operated: WebhookWorld, receiver: Receiver
) -> None:
    [[number]] = operated.installation.rows(
        "select id from webhooks.endpoints where organization_id is null"
    )
    session(operated, "COMPLETED", minutes=10)
    with operated.begin() as connection:
        endpoints.enable(connection, number, operated.now)
    assert published(operated) == 1
    assert len(receiver.requests) == 1


def test_a_body_for_the_operator_is_cut_as_others_are(
    operated: WebhookWorld, receiver: Receiver
) -> None:
    operated.installation.execute(
        "insert into ops.job_sessions (job, trigger, tick, status, started_at, ended_at, error)"
        " values ('leads/lead_scores', 'schedule', :at, 'FAILED', :at, :at, repeat('x', 300000))",
        at=operated.now,
    )
    published(operated)
    [received] = receiver.requests
    assert received.json["data"] == {"cut": True, "job": "leads/lead_scores"}


def test_looking_again_spends_no_numbers(operated: WebhookWorld) -> None:
    for _ in range(3):
        session(operated, "COMPLETED")
    published(operated)
    last = (
        "select last_value from webhooks.deliveries_id_seq union all"
        " select last_value from procrastinate_jobs_id_seq"
    )
    before = operated.installation.rows(last)
    with operated.begin() as connection:
        assert publish_operations(connection, operated.now - DAY, operated.now) == []
        tasks.ring_due(connection, operated.now)
    assert operated.installation.rows(last) == before


def test_nothing_is_read_without_an_endpoint_of_the_operator(hooked: WebhookWorld) -> None:
    statements: list[str] = []
    sa.event.listen(
        hooked.installation.engine,
        "before_cursor_execute",
        lambda *call: statements.append(call[2]),
    )
    with hooked.begin() as connection:
        assert publish_operations(connection, hooked.now - DAY, hooked.now) == []
    assert len(statements) == 1


def test_the_types_of_the_installation_are_known(hooked: WebhookWorld) -> None:
    assert endpoints.unknown_types(["job.*", "alert.recovery", "health.changed"]) == []
    assert [note[:9] for note in endpoints.unknown_types(["jib.*"])] == ["'jib.*' f"]
    assert sorted(OPERATIONS) == list(OPERATIONS)
