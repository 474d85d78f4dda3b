"""`/v1/tasks`: closing tasks of users."""

from typing import Any

import pytest

from marketing_pipelines_tests.api.applications import NOW, Application
from marketing_pipelines_tests.installation import Installation


@pytest.fixture
def app(shared_installation: Installation) -> Application:
    return Application(shared_installation)


def task(app: Application, subject: str = "s") -> int:
    return int(
        app.value(
            "insert into crm.tasks (organization_id, title, job, subject, period, created_at)"
            " values (:own, 'Call', 'job', :subject, 'p', :now) returning id",
            own=app.organization,
            subject=subject,
            now=NOW,
        )
    )


def stored(app: Application, number: int) -> list[tuple[Any, ...]]:
    return app.rows(f"select state, done_at from crm.tasks where id = {number}")


def test_a_task_is_done_at_the_moment_of_the_call(app: Application) -> None:
    number = task(app)
    for _ in range(2):
        answer = app.post(f"/v1/tasks/{number}", {"state": "done"})
        assert (answer.status_code, answer.json()["state"]) == (200, "done")
        assert stored(app, number) == [("done", NOW)]
    answer = app.post(f"/v1/tasks/{number}", {"state": "dropped"})
    assert answer.json() == {
        "id": number,
        "organization": app.name,
        "state": "dropped",
        "done_at": None,
    }
    assert stored(app, number) == [("dropped", None)]


def test_a_task_of_another_organization_is_not_there(app: Application) -> None:
    other = Application(app.installation)
    number = task(other)
    answer = app.post(f"/v1/tasks/{number}", {"state": "done"})
    assert answer.status_code == 404
    assert f"There is no task {number} that this token may see." in answer.text
    assert stored(other, number) == [("open", None)]


@pytest.mark.parametrize("body", [{"state": "open"}, {}, {"state": "done", "note": "x"}])
def test_a_state_that_cannot_be_is_refused(app: Application, body: dict[str, str]) -> None:
    number = task(app)
    assert app.post(f"/v1/tasks/{number}", body).status_code == 422
    assert stored(app, number) == [("open", None)]
