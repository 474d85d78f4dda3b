"""Taking due actions: once for each route, missed times, daylight saving, jobs, killed runs."""

import datetime as dt
import json
import signal
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.actions import standing
from marketing_pipelines.domains.actions.repetition import Due, first_due
from marketing_pipelines.domains.actions.taking import is_due
from marketing_pipelines_tests.actions.acting import HOUR, JOB, NOW, SECOND, Acting
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.queueing.consuming import consume
from marketing_pipelines_tests.scale import SOAK
from marketing_pipelines_tests.waiting import until

NOTIFIED = "select title, subject from crm.notifications order by subject"
QUEUED = "select count(*) from procrastinate_jobs where task_name = 'actions/notify_user'"
RUNS = "select count(*), count(distinct (action_id, due_at, route_id)) from actions.runs"


@pytest.fixture
def acting(emptied: Installation) -> Acting:
    return Acting(emptied)


def test_a_due_action_reminds_a_user_once(acting: Acting) -> None:
    acting.route("crm:*", "task", "actions/notify_user")
    action, _ = acting.schedule(run_at=NOW)
    assert acting.run(NOW - SECOND).rows == 0
    for at in (NOW, NOW, NOW + HOUR):
        acting.run(at)
        consume(acting.installation.engine, "actions")
    assert acting.rows(NOTIFIED) == [("Call", f"action {action.id} at 2026-03-20T12:00:00+00:00")]
    with acting.installation.engine.connect() as connection:
        found = standing.find(connection, action.id)
    assert found is not None
    assert (found.state, found.next_at, found.ended_at) == ("finished", None, NOW)
    [run] = found.runs
    assert (run.route, run.target, run.name, run.state, run.run_id) == (
        "r",
        "task",
        "actions/notify_user",
        "queued",
        None,
    )


def test_an_unknown_user_is_a_dead_letter_that_names_the_remedy(acting: Acting) -> None:
    acting.route("crm:*", "task", "actions/notify_user")
    acting.schedule(run_at=NOW, payload={"user": "zoe", "title": "Call"})
    acting.run()
    consume(acting.installation.engine, "actions")
    assert acting.rows("select error from ops.dead_letters") == [
        (
            "payload.user: there is no user 'zoe': load the file of users by `load users`, "
            "then redrive this dead letter.",
        )
    ]


def test_every_matching_route_takes_an_action(acting: Acting) -> None:
    for number, pattern in enumerate(("crm:*", "*", "crm:remind", "crm:call", "crm")):
        acting.route(pattern, "task", "actions/notify_user", f"r{number}")
    acting.schedule(run_at=NOW)
    acting.run()
    assert acting.rows(
        "select route.external_id from actions.runs join actions.routes as route"
        " on route.id = route_id order by 1"
    ) == [("r0",), ("r1",), ("r2",)]
    assert acting.rows(QUEUED) == [(3,)]


def test_an_action_without_route_is_a_dead_letter_that_a_route_mends(acting: Acting) -> None:
    action, _ = acting.schedule(run_at=NOW)
    acting.run()
    consume(acting.installation.engine, "actions")
    [(number, error)] = acting.rows("select id, error from ops.dead_letters")
    assert error == (
        f"No route takes actions of the type crm:remind (action {action.id}): load one with"
        " `load action_routes`, then redrive this dead letter."
    )
    acting.route("crm:*", "task", "actions/notify_user")
    acting.redrive(number)
    consume(acting.installation.engine, "actions")
    assert len(acting.rows(NOTIFIED)) == 1
    assert acting.rows("select count(*) from ops.dead_letters where state = 'dead'") == [(0,)]


def test_a_wrong_payload_and_a_task_that_is_gone_are_dead_letters(acting: Acting) -> None:
    wrong, _ = acting.schedule(run_at=NOW, payload={"user": "ann"})
    acting.route("crm:remind", "task", "actions/notify_user")
    acting.route("crm:remind", "task", "billing/gone", "gone")
    right, _ = acting.schedule(run_at=NOW, now=NOW, type_="crm:call")
    acting.route("crm:call", "task", "actions/notify_user", "call")
    acting.run()
    gone = "from procrastinate_jobs where task_name = 'billing/gone'"
    assert acting.rows(f"select queue_name, args ->> 'action_key' {gone}") == [
        ("actions", f"action {wrong.id} at 2026-03-20T12:00:00+00:00")
    ]
    acting.installation.execute(f"delete {gone}")
    consume(acting.installation.engine, "actions")
    assert acting.rows(NOTIFIED) == [("Call", f"action {right.id} at 2026-03-20T12:00:00+00:00")]
    assert acting.rows("select task, error from ops.dead_letters") == [
        ("actions/notify_user", "payload.title: Field required.")
    ]


@pytest.mark.parametrize(
    ("catch_up", "late", "taken"),
    [
        ("once", dt.timedelta(), ["2026-03-20T23:00Z"]),
        ("once", 50 * HOUR, ["2026-03-22T23:00Z"]),
        ("skip", HOUR, ["2026-03-20T23:00Z"]),
        ("skip", HOUR + SECOND, []),
        ("skip", 48 * HOUR + SECOND, ["2026-03-22T23:00Z"]),
    ],
)
def test_missed_times_are_done_once_or_left_out(
    acting: Acting, catch_up: str, late: dt.timedelta, taken: Sequence[str]
) -> None:
    acting.route("*", "task", "actions/notify_user")
    acting.schedule(every="daily", catch_up=catch_up)
    at = instant("2026-03-20T23:00Z") + late
    acting.run(at)
    assert acting.rows("select due_at from actions.runs") == [(instant(one),) for one in taken]
    [(state, next_at)] = acting.rows("select state, next_at from actions.scheduled_actions")
    assert (state, next_at > at) == ("active", True)
    acting.run(at)
    assert acting.rows("select count(*) from actions.runs") == [(len(taken),)]


def test_an_action_that_was_missed_is_skipped_if_it_says_so(acting: Acting) -> None:
    acting.route("*", "task", "actions/notify_user")
    acting.schedule(run_at=NOW, catch_up="skip")
    acting.run(NOW + HOUR + SECOND)
    assert acting.rows("select state, ended_at, last_due_at from actions.scheduled_actions") == [
        ("skipped", NOW + HOUR + SECOND, None)
    ]
    assert acting.rows("select count(*) from actions.runs") == [(0,)]


def test_an_overdue_action_that_is_run_is_not_skipped(acting: Acting) -> None:
    acting.route("*", "task", "actions/notify_user")
    action, _ = acting.schedule(run_at=NOW, catch_up="skip")
    late = NOW + 3 * HOUR
    with acting.installation.engine.begin() as connection:
        standing.run_now(connection, action.id, late)
    acting.run(late + SECOND)
    assert acting.rows("select due_at from actions.runs") == [(late,)]


def test_a_repetition_ends_before_until(acting: Acting) -> None:
    acting.route("*", "task", "actions/notify_user")
    third = instant("2026-03-22T23:00Z")
    acting.schedule(every="daily", until=third)
    for day in range(5):
        acting.run(instant("2026-03-20T23:00Z") + 24 * HOUR * day)
    assert acting.rows("select due_at from actions.runs order by 1") == [
        (instant("2026-03-20T23:00Z"),),
        (instant("2026-03-21T23:00Z"),),
    ]
    assert acting.rows("select state from actions.scheduled_actions") == [("finished",)]


@pytest.mark.parametrize(
    ("cron", "since", "expected"),
    [
        # 02:30 does not exist on 29 March and exists twice on 25 October.
        (
            "30 2 * * *",
            "2026-03-28T00:00Z",
            ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"],
        ),
        (
            "30 2 * * *",
            "2026-10-24T00:00Z",
            ["2026-10-24T00:30Z", "2026-10-25T01:30Z", "2026-10-26T01:30Z"],
        ),
        ("0 0 * * *", "2026-03-28T12:00Z", ["2026-03-28T23:00Z", "2026-03-29T22:00Z"]),
    ],
)
def test_due_times_across_daylight_saving(cron: str, since: str, expected: Sequence[str]) -> None:
    next_at: dt.datetime | None = first_due(cron, "Europe/Berlin", instant(since))
    found = []
    for _ in expected:
        assert next_at is not None
        due_at, next_at = Due(next_at).of(cron, "Europe/Berlin", next_at, None)
        found.append(due_at)
    assert found == [instant(one) for one in expected]


def test_a_paused_action_waits_and_one_that_is_run_comes_at_once(acting: Acting) -> None:
    acting.route("*", "task", "actions/notify_user")
    action, _ = acting.schedule(every="daily")
    engine = acting.installation.engine
    with engine.begin() as connection:
        standing.pause(connection, action.id)
        with pytest.raises(standing.ActionStateError, match="is paused and cannot be run"):
            standing.run_now(connection, action.id, NOW)
    acting.run(NOW + 72 * HOUR)
    assert acting.rows("select count(*) from actions.runs") == [(0,)]
    with engine.begin() as connection:
        standing.resume(connection, action.id)
        standing.run_now(connection, action.id, NOW)
    acting.run(NOW)
    assert acting.rows("select due_at from actions.runs") == [(NOW,)]
    assert acting.rows("select next_at from actions.scheduled_actions") == [
        (instant("2026-03-20T23:00Z"),)
    ]
    with engine.begin() as connection:
        standing.cancel(connection, action.id, NOW)
        with pytest.raises(standing.ActionStateError, match="is cancelled and cannot be resumed"):
            standing.resume(connection, action.id)


def test_the_job_of_a_route_is_started_once_and_a_running_one_counts(acting: Acting) -> None:
    acting.route("nightly", "job", "leads/lead_scores")
    acting.route("nightly", "job", "leads/intent_scores", "days")
    acting.installation.execute(
        "insert into ops.job_sessions (job, trigger, tick, run_id, status)"
        " values ('leads/lead_scores', 'api', :tick, 'waits', 'QUEUED')",
        tick=NOW,
    )
    acting.schedule("nightly", run_at=NOW, payload={})
    for at in (NOW, NOW + SECOND):
        acting.run(at)
    assert acting.rows(
        f"select job, trigger, partition from ops.job_sessions where job <> '{JOB}' order by job"
    ) == [("leads/intent_scores", "api", "2026-03-19"), ("leads/lead_scores", "api", None)]
    assert acting.rows("select distinct state, error from actions.runs") == [("done", None)]


def test_a_job_whose_run_was_made_before_a_kill_is_not_started_again(acting: Acting) -> None:
    acting.route("nightly", "job", "leads/lead_scores")
    acting.schedule("nightly", run_at=NOW, payload={})
    acting.run()
    acting.installation.execute("update actions.runs set state = 'starting'")
    with acting.installation.engine.connect() as connection:
        assert is_due(connection, NOW)
    acting.run(NOW + SECOND)
    assert acting.rows("select count(*) from ops.job_sessions where job = 'leads/lead_scores'") == [
        (1,)
    ]
    assert acting.rows("select state from actions.runs") == [("done",)]


def test_a_job_that_is_gone_fails_its_item(acting: Acting) -> None:
    acting.route("nightly", "job", "leads/gone")
    acting.schedule("nightly", run_at=NOW, payload={})
    acting.schedule("nightly", run_at=NOW, payload={"a": 1})
    acting.installation.run(JOB, at=NOW)
    assert acting.rows("select item, error from ops.item_failures") == [
        (
            "job leads/gone",
            "There is no job 'leads/gone': load the route again with another name.",
        )
    ]
    assert acting.rows("select distinct state, error from actions.runs") == [
        ("failed", "There is no job 'leads/gone': load the route again with another name.")
    ]


@pytest.mark.soak
@pytest.mark.fault
def test_two_workers_of_which_one_is_killed_take_each_action_once(acting: Acting) -> None:
    number = 10_000 if SOAK else 500
    acting.route("*", "task", "actions/notify_user")
    acting.many(number)
    engine = acting.installation.engine
    waiting = sa.text(
        "select 1 from pg_locks where not granted and relation = 'procrastinate_jobs'::regclass"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    with engine.connect() as connection:
        # The first worker has taken a batch, and is killed before it can queue its tasks.
        connection.exec_driver_sql("lock table procrastinate_jobs in exclusive mode")
        killed = Forked("marketing_pipelines", "run", JOB, "--at", "2026-03-20T12:00:00")
        with engine.connect() as looking:
            until(lambda: looking.execute(waiting).first(), what="the first worker to wait")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        connection.rollback()
    other = Forked("marketing_pipelines", "run", JOB, "--at", "2026-03-20T12:00:00")
    outcome = acting.run()
    assert other.wait() == 0
    assert outcome.status == "COMPLETED"
    assert acting.rows(RUNS) == [(number, number)]
    assert acting.rows(QUEUED) == [(number,)]
    assert acting.rows("select distinct state from actions.scheduled_actions") == [("finished",)]
    assert acting.rows(
        "select count(distinct args ->> 'action_key') from procrastinate_jobs"
        " where task_name = 'actions/notify_user'"
    ) == [(number,)]


def test_a_restore_skips_what_is_due(acting: Acting) -> None:
    acting.route("*", "task", "actions/notify_user")
    once, _ = acting.schedule(run_at=NOW)
    acting.schedule(every="daily")
    acting.schedule(run_at=NOW + 100 * HOUR)
    with acting.installation.engine.begin() as connection:
        assert standing.skip_due(connection, "restored", NOW + 30 * HOUR) == 2
    assert acting.rows("select state, next_at from actions.scheduled_actions order by id") == [
        ("skipped", None),
        ("active", instant("2026-03-21T23:00Z")),
        ("active", NOW + 100 * HOUR),
    ]
    with acting.installation.engine.begin() as connection:
        standing.run_now(connection, once.id, NOW + 30 * HOUR)
    assert acting.run(NOW + 30 * HOUR).rows == 1


def test_a_run_takes_at_most_its_bound_and_leaves_the_rest(
    acting: Acting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketing_pipelines.domains.actions.taking.MOST", 1_000)
    acting.route("*", "task", "actions/notify_user")
    acting.many(1_200)
    assert [acting.run().rows for _ in range(3)] == [1_000, 200, 0]
    assert acting.rows(RUNS) == [(1_200, 1_200)]


def test_routes_are_loaded_and_wrong_ones_refused(acting: Acting, tmp_path: Any) -> None:
    rows = [
        {"external_id": "a", "type": "crm:*", "target": "task", "name": "actions/notify_user"},
        {"external_id": "b", "type": "*", "target": "job", "name": "leads/lead_scores"},
        {"external_id": "c", "type": "*", "target": "job", "name": "leads/lead_score"},
        {"external_id": "d", "type": "*", "target": "task", "name": "crm/assign_owners"},
        {"external_id": "e", "type": "*", "target": "page", "name": "x"},
        {"external_id": "g", "type": "*", "target": "endpoint", "name": "one"},
        {"external_id": "h", "type": "*", "target": "endpoint", "name": "1"},
        {"external_id": "f", "type": "crm:*:x", "target": "task", "name": "actions/notify_user"},
    ]
    path = tmp_path / "routes.jsonl"
    path.write_text("\n".join(json.dumps({"organization_id": "acme"} | row) for row in rows))
    result = acting.installation.load("action_routes", path)
    assert (result.loaded, result.rejected) == (3, 5)
    refused = "\n".join(result.notes)
    for reason in (
        "name names 'leads/lead_score', which is no job; similar: leads/lead_scores",
        "name names 'crm/assign_owners', which is no task that actions may call; these are"
        " actions/notify_user",
        "target 'page' is not one of job, task, endpoint",
        "name names 'one', which is no number of an endpoint: see `webhook list`",
        "type 'crm:*:x' is no type",
    ):
        assert reason in refused
