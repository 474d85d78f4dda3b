"""`/v1/notifications`: pages of an organization's notifications, and marking one as read."""

import datetime as dt
from typing import Any

import pytest

from marketing_pipelines_tests.api.applications import NOW, Application
from marketing_pipelines_tests.installation import Installation

PATH = "/v1/notifications"


@pytest.fixture
def app(shared_installation: Installation) -> Application:
    """An application whose users Ann and Bob have three notifications and one."""
    app = Application(shared_installation)
    for name, subjects in (("ann", ("1", "2", "3")), ("bob", ("4",))):
        user = app.value(
            "insert into crm.users (organization_id, external_id) values (:own, :name)"
            " returning id",
            own=app.organization,
            name=name,
        )
        for subject in subjects:
            shared_installation.execute(
                "insert into crm.notifications (organization_id, user_id, kind, title, text, ref,"
                " job, subject, period, created_at) values (:own, :user, 'stale_deal', :title,"
                " 'Text.', 'deal:7', 'sales/stale_deals', :title, 'p', :now)",
                own=app.organization,
                user=user,
                title=f"Deal {subject} of {app.name}",
                now=NOW,
            )
    return app


def listed(app: Application, **parameters: Any) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    answer = app.get(f"{PATH}?organization={app.name}&{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def titles(app: Application, **parameters: Any) -> list[str]:
    return [one["title"].split()[1] for one in listed(app, **parameters)]


def test_pages_follow_each_other_newest_first(app: Application) -> None:
    first = listed(app, limit=3)
    assert [one["user"] for one in first] == ["bob", "ann", "ann"]
    assert titles(app, limit=3, before=first[-1]["id"]) == ["1"]
    assert first[0] | {"id": 0} == {
        "id": 0,
        "organization": app.name,
        "user": "bob",
        "kind": "stale_deal",
        "title": f"Deal 4 of {app.name}",
        "text": "Text.",
        "ref": "deal:7",
        "job": "sales/stale_deals",
        "created_at": "2026-03-02T09:00:00Z",
        "read_at": None,
        "mailed_at": None,
    }


def test_the_first_reading_counts(app: Application) -> None:
    number = listed(app, user="ann")[1]["id"]
    assert app.post(f"{PATH}/{number}/read", {}).json()["read_at"] == "2026-03-02T09:00:00Z"
    app.now = NOW + dt.timedelta(hours=1)
    assert app.post(f"{PATH}/{number}/read", {}).json()["read_at"] == "2026-03-02T09:00:00Z"
    assert titles(app, user="ann", unread="true") == ["3", "1"]
    assert titles(app, user="ann", unread="false") == ["2"]


def test_a_token_reaches_only_its_organization(app: Application) -> None:
    other = Application(app.installation)
    number = listed(app)[0]["id"]
    refused = other.post(f"{PATH}/{number}/read", {})
    assert (refused.status_code, refused.json()["error"]) == (
        404,
        f"There is no notification {number} that this token may see.",
    )
    assert other.get(f"{PATH}?organization={app.name}").status_code == 404
    assert app.get(f"{PATH}?organization={app.name}&user=eve").json() == {
        "error": "There is no user 'eve'."
    }
    assert titles(app, unread="false") == []
