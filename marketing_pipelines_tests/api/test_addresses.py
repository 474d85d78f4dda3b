"""The addresses answer: sessions, triggers, queues, dead letters, limits."""

import itertools
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from marketing_pipelines.runs import sessions
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.api.conftest import NOW, Api
from marketing_pipelines_tests.queueing.installed import install, put

HOURS, WAREHOUSE = "analytics/contact_activity", "analytics/warehouse"


def trigger(api: Api, job: str, **params: str) -> tuple[int, dict[str, object]]:
    answer = api.client.post(
        f"/admin/jobs/{job}/trigger", params=params, headers=api.bearer("trigger")
    )
    return answer.status_code, answer.json()


def test_a_trigger_is_202_with_run_and_session_then_409_and_404(api: Api) -> None:
    status, body = trigger(api, HOURS, partition="2026-03-01-10:00")
    assert status == 202
    assert api.installation.rows(
        "select id, run_id, trigger, status, partition from ops.job_sessions"
    ) == [(body["session_id"], body["run_id"], "api", "QUEUED", "2026-03-01-10:00")]
    status, again = trigger(api, HOURS, partition="2026-03-01-10:00")
    assert status == 409
    assert str(body["run_id"]) in str(again["error"])
    status, unknown = trigger(api, "analytics/warehous")
    assert status == 404
    assert "did you mean analytics/warehouse?" in str(unknown["error"])
    status, wrong = trigger(api, HOURS, partition="soon")
    assert status == 422
    assert str(wrong["error"]).startswith("'soon' is not a partition")
    assert trigger(api, HOURS)[1]["partition"] == "2026-03-01-11:00"


def test_sessions_are_filtered_and_limited(api: Api) -> None:
    with create_engine(api.installation.engine.url).begin() as connection:
        for n in range(60):
            sessions.open_session(
                connection,
                job=(HOURS, WAREHOUSE)[n % 2],
                trigger="manual",
                tick=NOW,
                partition=None,
                run_id=f"run {n}",
            )
        connection.exec_driver_sql("update ops.job_sessions set status = 'COMPLETED' where id > 1")
        connection.exec_driver_sql(
            "insert into ops.job_sessions (job, trigger, tick, status)"
            f" select '{HOURS}', 'schedule', now(), 'COMPLETED' from generate_series(1, 60)"
        )

    def ids(**params: object) -> list[int]:
        answer = api.client.get(
            "/admin/sessions",
            params={k: str(v) for k, v in params.items()},
            headers=api.bearer("read"),
        )
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()]

    assert ids() == list(range(120, 20, -1))
    assert ids(job=HOURS) == list(range(120, 70, -1))
    assert ids(limit=3) == [120, 119, 118]
    assert ids(running=True) == [], "the session whose process is gone is closed"
    assert ids(job="nothing/here") == []


@pytest.mark.parametrize("limit", ["0", "101", "-1", "many", "9" * 30])
def test_a_limit_beyond_a_hundred_is_refused_with_a_sentence(api: Api, limit: str) -> None:
    answer = api.client.get("/admin/sessions", params={"limit": limit}, headers=api.bearer("read"))
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("limit cannot be used: ")


def test_tasks_are_listed_by_pages_cancelled_and_done_again(api: Api) -> None:
    install()
    ids = put(api.installation.engine, "write", 4)
    read, admin = api.bearer("read"), api.bearer("admin")
    newest = api.client.get("/admin/tasks", params={"limit": 3}, headers=read).json()
    assert [task["id"] for task in newest] == ids[:0:-1]
    older = api.client.get("/admin/tasks", params={"before": ids[1]}, headers=read).json()
    assert [(task["id"], task["queue"], task["state"]) for task in older] == [
        (ids[0], "default", "waiting")
    ]
    cancelled = api.client.post(f"/admin/tasks/{ids[0]}/cancel", headers=admin)
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    again = api.client.post(f"/admin/tasks/{ids[0]}/retry", headers=admin)
    assert (again.status_code, again.json()) == (
        409,
        {"error": f"Task {ids[0]} is cancelled: it can be neither cancelled nor done again."},
    )
    api.installation.execute(f"update procrastinate_jobs set status = 'doing' where id = {ids[1]}")
    active = api.client.post(f"/admin/tasks/{ids[1]}/cancel", headers=admin)
    assert active.status_code == 409
    assert active.json()["error"].startswith(f"A worker is doing task {ids[1]} at this moment")
    assert api.client.post("/admin/tasks/99/cancel", headers=admin).status_code == 404
    wrong = api.client.get("/admin/tasks", params={"state": "broken"}, headers=read)
    assert wrong.status_code == 422


def chunks(count: int) -> Iterator[bytes]:
    return itertools.repeat(b"x" * 100_000, count)


def test_a_body_over_one_megabyte_is_413_with_and_without_a_length(api: Api) -> None:
    header = api.bearer("trigger")
    path = f"/admin/jobs/{WAREHOUSE}/trigger"
    for body in (b"x" * 1_000_001, chunks(11)):
        answer = api.client.post(path, content=body, headers=header)
        assert answer.status_code == 413
        assert answer.json() == {
            "error": "The body is longer than 1,000,000 bytes: send less at once."
        }
    assert api.client.post("/health/live", content=chunks(11)).status_code == 413
    assert api.installation.rows("select 1 from ops.job_sessions") == []
    assert api.client.post(path, content=chunks(10), headers=header).status_code == 202
    assert [row[3] for row in api.audit()] == [413, 413, 202]


def test_an_unknown_address_and_a_wrong_method_say_so(api: Api) -> None:
    assert api.client.get("/nothing").json() == {
        "error": "There is nothing at this address: `/openapi.json` lists what there is."
    }
    answer = api.client.delete("/admin/sessions", headers=api.bearer("admin"))
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"


def test_health_needs_no_token(api: Api) -> None:
    assert api.client.get("/health/live").json() == {"status": "live"}
    assert api.client.get("/health/ready").json() == {"status": "ready"}
    verdict = api.client.get("/health/jobs")
    assert verdict.status_code == 503, "no daemon has ever run"
    assert verdict.json()["status"] == "unhealthy"
    assert "The scheduler shows no sign of life" in verdict.json()["reasons"][0]
    scraped = api.client.get("/metrics")
    assert scraped.status_code == 200
    names = {family.name for family in text_string_to_metric_families(scraped.text)}
    assert len(names) > 5
    assert {name for name in names if not name.startswith("marketing_")} == set()
    assert api.audit() == []
