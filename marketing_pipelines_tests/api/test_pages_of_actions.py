"""The pages of scheduled actions and of endpoints, also in a browser."""

import datetime as dt
import os
from pathlib import Path

import pytest

from marketing_pipelines.api import tokens
from marketing_pipelines_tests.actions.acting import HOUR, NOW, Acting
from marketing_pipelines_tests.api.browser import chromium
from marketing_pipelines_tests.api.conftest import Api
from marketing_pipelines_tests.api.serving import serving
from marketing_pipelines_tests.api.test_pages import HOME, PAGES, sign_in
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only

FAR = NOW + dt.timedelta(days=300)
STATE = "select state from actions.scheduled_actions"


def add_endpoint(installation: Installation, organization: int | None, url: str) -> None:
    installation.execute(
        "insert into webhooks.endpoints (organization_id, url, event_types, secret, state,"
        " probe_at, error, created_at) values (:organization, :url, '{deal.*}', 'x', 'failing',"
        " :at, 'The receiver answers 500 <b>now</b>.', :at)",
        organization=organization,
        url=url,
        at=NOW,
    )


def test_actions_are_filtered_and_paged(api: Api) -> None:
    acting = Acting(api.installation)
    acting.many(101)
    acting.schedule("billing:renew", every="daily", payload={})
    sign_in(api, "read")
    first = api.client.get(f"{PAGES}/actions").text
    assert first.count("/admin/pages/actions/") == 100
    assert "before=3" in first
    assert api.client.get(f"{PAGES}/actions?before=3").text.count("/admin/pages/actions/") == 2
    billing = api.client.get(f"{PAGES}/actions?type=billing:renew&state=active").text
    assert billing.count("/admin/pages/actions/") == 1
    assert api.client.get(f"{PAGES}/actions?state=cancelled").text.count(">None.<") == 1
    assert api.client.get(f"{PAGES}/actions/103").status_code == 404


@pytest.mark.parametrize(
    ("change", "state"), [("pause", "paused"), ("cancel", "cancelled"), ("run", "active")]
)
def test_an_action_is_changed_by_a_form_of_its_page_alone(
    api: Api, change: str, state: str
) -> None:
    acting = Acting(api.installation)
    action, _ = acting.schedule(run_at=FAR)
    path = f"{PAGES}/actions/{action.id}/{change}"
    key = sign_in(api, "read")
    assert api.client.post(path, data={"form_key": key}).status_code == 403
    key = sign_in(api, "admin")
    assert api.client.post(path, data={"form_key": "forged"}).status_code == 403
    elsewhere = {"Origin": "https://evil.example"}
    answer = api.client.post(path, data={"form_key": key}, headers=elsewhere)
    assert answer.status_code == 403
    assert acting.rows(STATE) == [("active",)]
    answer = api.client.post(path, data={"form_key": key})
    assert (answer.status_code, acting.rows(STATE)) == (303, [(state,)])


def test_endpoints_are_shown_with_state_and_error(api: Api) -> None:
    acting = Acting(api.installation)
    add_endpoint(api.installation, acting.organization, "https://hooks.example.org/<in>?key=k")
    add_endpoint(api.installation, None, "https://ops.example.org/in")
    sign_in(api, "admin")
    page = api.client.get(f"{PAGES}/webhooks").text
    assert "https://hooks.example.org/&lt;in&gt;?key=k" in page
    assert "The receiver answers 500 &lt;b&gt;now&lt;/b&gt;." in page
    assert page.count("failing</span>") == 2
    assert page.count("the operator") == 1


def test_deliveries_are_filtered_and_an_endpoint_is_changed_by_a_form_of_its_page(
    api: Api,
) -> None:
    acting = Acting(api.installation)
    add_endpoint(api.installation, acting.organization, "https://hooks.example.org/in")
    api.installation.execute(
        "insert into webhooks.deliveries (endpoint_id, event_id, type, published_at, state,"
        " attempts, status, response, due_at, ended_at)"
        " select 1, 'event:' || place, 'deal.won', :at, case when place = 1 then 'failed' else"
        " 'waiting' end, 8, 500, '<i>no</i>', :at, case when place = 1 then :at end"
        " from generate_series(1, 102) as place",
        at=NOW,
    )
    path = f"{PAGES}/webhooks/1"
    sign_in(api, "read")
    for page in (api.client.get(path).text, api.client.get(f"{PAGES}/webhooks").text):
        assert ">hooks.example.org<" in page
        assert "hooks.example.org/in" not in page
        assert "&lt;i&gt;no&lt;/i&gt;" not in page
    key = sign_in(api, "admin")
    first = api.client.get(path).text
    assert first.count("&lt;i&gt;no&lt;/i&gt;") == 100
    assert api.client.get(f"{path}?before=3").text.count(">event:") == 2
    assert api.client.get(f"{path}?state=failed").text.count(">event:1<") == 1
    assert api.client.get(f"{PAGES}/webhooks/9").status_code == 404
    states = "select state from webhooks.endpoints"
    assert api.client.post(f"{path}/disable", data={"form_key": "forged"}).status_code == 403
    assert acting.rows(states) == [("failing",)]
    for change, state in [("disable", "disabled"), ("enable", "active")]:
        assert api.client.post(f"{path}/{change}", data={"form_key": key}).status_code == 303
        assert acting.rows(states) == [(state,)]
    assert api.client.post(f"{PAGES}/webhooks/9/enable", data={"form_key": key}).status_code == 404


@pytest.mark.soak
@soak_only
def test_an_operator_looks_at_actions_and_cancels_one_in_a_browser(
    installation: Installation,
) -> None:
    acting = Acting(installation)
    acting.route("crm:*", "task", "actions/notify_user")
    acting.schedule("billing:renew", every="daily", payload={})
    acting.schedule(run_at=NOW)
    acting.run(NOW)
    acting.schedule(run_at=FAR + HOUR)
    add_endpoint(installation, acting.organization, "https://hooks.example.org/" + "long/" * 20)
    with installation.engine.begin() as connection:
        token = tokens.create(connection, "browser", ["admin"])
    shots = os.environ.get("SCREENSHOTS")
    with serving() as (address, _), chromium(viewport={"width": 1400, "height": 900}) as page:
        page.goto(f"{address}{HOME}")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{address}{HOME}")
        for width in (1400, 390):
            page.set_viewport_size({"width": width, "height": 900})
            for name in ("actions", "actions/2", "webhooks", "webhooks/1"):
                page.goto(f"{address}{PAGES}/{name}")
                overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert overflow <= 0, (name, width)
                if shots:
                    file = Path(shots) / f"{name.replace('/', '-')}-{width}.png"
                    page.screenshot(path=file, full_page=True)
        page.goto(f"{address}{PAGES}/actions")
        page.get_by_role("link", name="3", exact=True).click()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("status").filter(has_text="Action 3 is cancelled.").wait_for()
        assert page.get_by_role("button", name="Cancel").count() == 0
    assert acting.rows("select state from actions.scheduled_actions where id = 3") == [
        ("cancelled",)
    ]
