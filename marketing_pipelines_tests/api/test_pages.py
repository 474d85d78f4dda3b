"""The pages: signing in, forms that only their own page can send, and a browser that uses them."""

import datetime as dt
import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from marketing_pipelines.api import tokens
from marketing_pipelines.api.cookies import Signer
from marketing_pipelines.api.pages.calendar import calendar, what_did_not_run
from marketing_pipelines.observability.alerts import UI_VARIABLE
from marketing_pipelines.observability.calendar import Occurrence
from marketing_pipelines_tests.api.browser import chromium
from marketing_pipelines_tests.api.conftest import NOW, Api
from marketing_pipelines_tests.api.serving import serving
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.queueing.installed import TABLE, install, put

HOME, PAGES = "/admin", "/admin/pages"
ALL = [
    HOME,
    *(
        f"{PAGES}/{page}"
        for page in (
            "calendar",
            "sessions",
            "queues",
            "queues/default",
            "dead-letters",
            "delivery",
            "messages",
            "briefs",
            "connections",
            "forms",
            "exports",
            "actions",
            "webhooks",
        )
    ),
]
WAREHOUSE = "analytics/warehouse"


def sign_in(api: Api, scope: tokens.Scope) -> str:
    """Signs the client in; returns the key of its forms."""
    api.bearer(scope)
    answer = api.client.post(f"{PAGES}/sign-in", data={"token": api.made[scope]})
    assert (answer.status_code, answer.headers["location"]) == (303, HOME)
    page = api.client.get(f"{PAGES}/sessions")
    found = re.search(r'name="form_key" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def test_a_wrong_token_does_not_sign_in_and_pages_lead_to_the_form(api: Api) -> None:
    api.bearer("read")
    answer = api.client.post(f"{PAGES}/sign-in", data={"token": "mp_1_guess"})
    assert answer.status_code == 401
    assert "This is no valid token." in answer.text
    assert "set-cookie" not in answer.headers
    for page in ALL:
        answer = api.client.get(page, headers=api.bearer("read"))
        assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGES}/sign-in")
    assert {row[0] for row in api.audit()} == {"unknown"}


def test_the_cookie_is_signed_for_this_site_alone_and_ends_with_its_token(api: Api) -> None:
    sign_in(api, "read")
    api.client.cookies.clear()
    api.bearer("read")
    answer = api.client.post(f"{PAGES}/sign-in", data={"token": api.made["read"]})
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/admin", "Max-Age=43200"} <= set(
        cookie.split("; ")
    )
    assert api.client.get(HOME).status_code == 200
    assert api.client.get("/admin/sessions").status_code == 401, "a cookie opens pages only"
    assert api.audit()[-3:] == [
        ("the read token", "POST", f"{PAGES}/sign-in", 303),
        ("the read token", "GET", HOME, 200),
        ("unknown", "GET", "/admin/sessions", 401),
    ]
    with api.installation.engine.begin() as connection:
        tokens.create(connection, "another", ["read"])
        tokens.revoke(connection, 1)
    assert api.client.get(HOME).status_code == 303


def test_cookies_that_were_changed_or_are_old_are_nobodys() -> None:
    signer = Signer("k" * 32)
    cookie = signer.write(3, 7, NOW)
    found = signer.read(cookie, NOW + dt.timedelta(hours=12))
    assert found is not None
    assert (found.id, found.token_id) == (3, 7)
    assert signer.read(cookie, NOW + dt.timedelta(hours=12, seconds=1)) is None
    assert signer.read(cookie[:-2], NOW) is None
    assert signer.read("", NOW) is None
    assert Signer("l" * 32).read(cookie, NOW) is None
    assert signer.is_from(found, signer.form_key(found))
    assert not signer.is_from(found, cookie)
    other = signer.read(signer.write(4, 7, NOW), NOW)
    assert other is not None
    assert not signer.is_from(other, signer.form_key(found))


def cookies(api: Api) -> dict[str, str]:
    return dict(api.client.cookies.items())


def test_signing_out_and_revoking_the_token_end_a_sign_in_on_the_server(api: Api) -> None:
    key = sign_in(api, "read")
    kept = cookies(api)
    api.client.cookies.clear()
    sign_in(api, "read")
    other = cookies(api)
    assert (
        api.installation.rows(
            "select token_id, created_at, last_seen_at, expires_at from ops.user_sessions"
        )
        == [(1, NOW, NOW, NOW + dt.timedelta(hours=12))] * 2
    )
    api.client.cookies.clear()
    api.client.cookies.update(kept)
    assert api.client.post(f"{PAGES}/sign-out", data={"form_key": key}).status_code == 303
    api.client.cookies.clear()
    api.client.cookies.update(kept)
    assert api.client.get(HOME).status_code == 303, "the cookie is kept and opens nothing"
    api.client.cookies.clear()
    api.client.cookies.update(other)
    assert api.client.get(HOME).status_code == 200
    with api.installation.engine.begin() as connection:
        tokens.revoke(connection, 1)
        tokens.create(connection, "another", ["read"])
    assert api.installation.rows("select 1 from ops.user_sessions") == []
    assert api.client.get(HOME).status_code == 303


def test_a_sign_in_is_seen_at_most_once_a_minute_and_ends_after_twelve_hours(api: Api) -> None:
    now = NOW
    object.__setattr__(api.app.state.site, "now", lambda: now)
    sign_in(api, "read")

    def seen() -> list[dt.datetime]:
        rows = api.installation.rows("select last_seen_at from ops.user_sessions order by id")
        return [instant for (instant,) in rows]

    now = NOW + dt.timedelta(seconds=59)
    assert api.client.get(HOME).status_code == 200
    assert seen() == [NOW]
    now = NOW + dt.timedelta(seconds=60)
    assert api.client.get(HOME).status_code == 200
    assert seen() == [now]
    now = NOW + dt.timedelta(hours=12)
    assert api.client.get(HOME).status_code == 303
    sign_in(api, "read")
    assert seen() == [now], "signing in removes what is over"


def test_the_page_for_signing_out_is_for_those_who_signed_in(api: Api) -> None:
    api.bearer("read")
    assert api.client.get(f"{PAGES}/sign-out").status_code == 303
    sign_in(api, "read")
    assert "Signed in with token the read token." in api.client.get(f"{PAGES}/sign-out").text


def test_a_form_that_its_page_did_not_make_is_refused(api: Api) -> None:
    key = sign_in(api, "admin")
    foreign = {"Origin": "http://elsewhere.example"}
    paths = [
        "trigger",
        "queues/default/pause",
        "queues/default/resume",
        "queues/default/clean",
        "tasks/1/cancel",
        "dead-letters/1/redrive",
        "sign-out",
    ]
    for path in paths:
        for data, headers in (
            ({"job": WAREHOUSE}, {}),
            ({"job": WAREHOUSE, "form_key": key[:-1]}, {}),
            ({"job": WAREHOUSE, "form_key": key}, foreign),
            ({"job": WAREHOUSE, "form_key": key}, {"Origin": "null"}),
        ):
            answer = api.client.post(f"{PAGES}/{path}", data=data, headers=headers)
            assert answer.status_code == 403, (path, data, headers)
        assert api.client.post(f"{PAGES}/{path}", content=b"\xff=%00").status_code == 400, path
    assert api.installation.rows("select 1 from ops.job_sessions") == []
    assert api.client.get(HOME).status_code == 200


def test_a_form_that_came_through_a_proxy_is_accepted_where_the_public_address_is_set(
    api: Api,
) -> None:
    key = sign_in(api, "admin")

    def status(origin: str) -> int:
        data, headers = {"form_key": key}, {"Origin": origin, "Host": "10.0.0.7:8000"}
        path = f"{PAGES}/queues/default/pause"
        return api.client.post(path, data=data, headers=headers).status_code

    assert status("https://marketing.example") == 403
    settings = api.installation.settings
    public = settings.model_copy(update={"public_url": "https://Marketing.example/"})
    object.__setattr__(api.app.state.site, "settings", public)
    assert status("https://marketing.example") == 303
    assert status("http://10.0.0.7:8000") == 303
    for foreign in ("http://marketing.example", "https://elsewhere.example", "null"):
        assert status(foreign) == 403, foreign


def test_who_may_only_read_sees_no_buttons_and_cannot_send_their_forms(api: Api) -> None:
    key = sign_in(api, "read")
    for page in ALL:
        answer = api.client.get(page)
        assert answer.status_code == 200
        assert answer.text.count('method="post"') == 1, "signing out"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    for path in ("trigger", "queues/default/pause", "dead-letters/1/discard", "tasks/1/retry"):
        data = {"job": WAREHOUSE, "form_key": key}
        assert api.client.post(f"{PAGES}/{path}", data=data).status_code == 403
    assert api.client.post(f"{PAGES}/sign-out", data={"form_key": key}).status_code == 303
    assert api.client.get(HOME).status_code == 303


def test_the_overview_names_items_that_fail_while_their_job_goes_on(api: Api) -> None:
    sign_in(api, "read")
    assert "campaign spring" not in api.client.get(HOME).text
    api.installation.execute(
        "insert into ops.item_failures values ('campaigns/step_progress',"
        " 'campaign spring of acme', 4, :first, :last, 'step a: no')",
        first=dt.datetime(2026, 3, 1, 10, 0, tzinfo=dt.UTC),
        last=dt.datetime(2026, 3, 1, 10, 15, tzinfo=dt.UTC),
    )
    text = api.client.get(HOME).text
    for told in ("campaign spring of acme", "step a: no", "2026-03-01 10:00"):
        assert told in text


def test_a_page_that_does_not_exist_is_a_page(api: Api) -> None:
    sign_in(api, "read")
    answer = api.client.get(f"{PAGES}/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert api.client.get(f"{PAGES}/calendar?days=99").status_code == 422


def test_the_calendar_has_a_row_for_a_job_and_a_column_for_a_day() -> None:
    zone = ZoneInfo("Asia/Kolkata")
    late, early = (dt.datetime(2026, 3, 1, hour, tzinfo=dt.UTC) for hour in (19, 18))
    ticks = [
        Occurrence("b/two", early, None, "ran"),
        Occurrence("a/one", early, None, "missed", "nothing ran"),
        Occurrence("a/one", late, None, "not due"),
    ]
    first, second = dt.date(2026, 3, 1), dt.date(2026, 3, 2)
    jobs = ["a/one", "b/two", "c/never"]
    found = calendar(ticks, jobs=jobs, first=first, last=second, zone=zone)
    assert found.days == [first, second]
    assert found.rows == {
        "a/one": {first: [ticks[1]], second: [ticks[2]]},
        "b/two": {first: [ticks[0]], second: []},
        "c/never": {first: [], second: []},
    }


def test_ticks_that_did_not_run_for_one_reason_are_one_line() -> None:
    hours = [dt.datetime(2026, 3, 1, hour, tzinfo=dt.UTC) for hour in range(6)]
    off = [Occurrence("a/one", hour, None, "missed", "off") for hour in hours]
    ran = Occurrence("a/one", hours[2], None, "ran")
    failed = Occurrence("a/one", hours[4], None, "failed", "broken")
    other = Occurrence("b/two", hours[3], None, "skipped", "held")
    found = what_did_not_run([off[0], off[1], ran, off[3], other, failed, off[5]])
    assert [gap.ticks for gap in found] == [[off[5]], [failed], [off[3]], [other], off[:2]]
    assert (found[4].first, found[4].last) == (off[0], off[1])


def test_an_operator_signs_in_triggers_pauses_and_redrives_in_a_browser(
    installation: Installation, tmp_path: Path
) -> None:
    install()
    installation.execute(TABLE)
    [first, second, third] = put(installation.engine, "write", 3)
    installation.execute(
        "insert into ops.dead_letters (task_id, queue, task, payload, priority, error, attempts,"
        " first_failed_at, last_failed_at, state)"
        " select id, queue_name, task_name, args, 0, 'It is <b>broken</b>.', 3, now(), now(),"
        " 'dead' from procrastinate_jobs"
    )
    [(queue,)] = installation.rows("select distinct queue from ops.dead_letters")
    for status in ("doing", "failed"):
        installation.execute(
            f"update procrastinate_jobs set status = '{status}' where id = {third}"
        )
    with installation.engine.begin() as connection:
        token = tokens.create(connection, "browser", ["admin"])
    with serving() as (address, _), chromium(viewport={"width": 1400, "height": 900}) as page:
        problems: list[str] = []
        page.on("console", lambda message: problems.append(f"{message.type} {message.text}"))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.goto(f"{address}{HOME}")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{address}{HOME}")
        page.get_by_role("link", name="Sessions").click()
        page.get_by_role("button", name=f"Start {WAREHOUSE}").click()
        says(page, "Session 1 waits for its turn.")
        assert "QUEUED" in page.locator("table").last.inner_text()
        page.get_by_role("button", name=f"Start {WAREHOUSE}").click()
        page.get_by_role("status").filter(has_text="already under way").wait_for()
        page.get_by_role("link", name="Queues").click()
        page.get_by_role("button", name=f"Pause {queue}").click()
        says(page, f"Queue {queue} is paused.")
        page.get_by_role("button", name=f"Resume {queue}").click()
        says(page, f"Queue {queue} goes on.")
        page.get_by_role("link", name=queue, exact=True).click()
        page.get_by_label("State").select_option("failed")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name=str(third), exact=True).click()
        page.get_by_role("button", name="Do again").click()
        page.get_by_role("status").filter(has_text=f"Task {third} is sent back as task").wait_for()
        page.get_by_role("row", name="Sent back as").get_by_role("link").wait_for()
        page.get_by_role("link", name="Dead letters").click()
        page.get_by_text("It is <b>broken</b>.").nth(1).wait_for()
        assert page.get_by_text("It is <b>broken</b>.").count() == 2
        page.get_by_role("button", name="Redrive 1").click()
        says(page, "Dead letter 1 is back in its queue.")
        page.get_by_role("button", name="Discard 2").click()
        says(page, "Dead letter 2 is discarded.")
        page.get_by_role("link", name="Delivery").click()
        page.get_by_text("load sending_domains FILE").wait_for()
        page.get_by_role("link", name="Messages of a contact").click()
        page.get_by_label("Organization").fill("nowhere")
        page.get_by_label("Contact or address").fill("ann@example.org")
        page.get_by_role("button", name="Show messages").click()
        says(page, "There is no organization 'nowhere': give its external id or its number.")
        page.get_by_role("link", name="Calendar").click()
        page.locator(".calendar .tick").first.wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{address}{PAGES}/sign-in")
        assert [p for p in problems if not p.startswith(("debug ", "verbose "))] == []
    assert installation.rows("select id, state from ops.dead_letters order by id") == [
        (1, "redriven"),
        (2, "discarded"),
        (3, "redriven"),
    ]
    assert (first, second) == (1, 2)
    assert installation.rows("select job, trigger, status from ops.job_sessions") == [
        (WAREHOUSE, "api", "QUEUED")
    ]
    [(posts,)] = installation.rows(
        "select count(*) from ops.audit_log where method = 'POST' and status = 303"
        " and actor = 'browser'"
    )
    assert posts == 9


@pytest.mark.parametrize("known", [True, False])
def test_sessions_lead_to_their_runs_where_the_address_of_the_ui_is_known(
    api: Api, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    sign_in(api, "read")
    if known:
        monkeypatch.setenv(UI_VARIABLE, "http://127.0.0.1:3000")
    else:
        monkeypatch.delenv(UI_VARIABLE, raising=False)
    api.installation.execute(
        "insert into ops.job_sessions (job, trigger, tick, status, run_id)"
        " values ('a/b', 'manual', now(), 'COMPLETED', 'r-1')"
    )
    text = api.client.get(f"{PAGES}/sessions").text
    assert ('href="http://127.0.0.1:3000/runs/r-1"' in text) == known


def test_the_page_of_a_contact_shows_its_timeline_and_runs_nothing_of_it(api: Api) -> None:
    sign_in(api, "read")
    execute = api.installation.execute
    execute("insert into crm.organizations (external_id) values ('timed')")
    execute(
        "insert into crm.contacts (organization_id, external_id)"
        " select id, 'ann' from crm.organizations where external_id = 'timed'"
    )
    execute(
        "insert into crm.activities (organization_id, external_id, kind, direction, contact_id,"
        " occurred_at, subject, text, source, ref)"
        " select organization_id, 'mail:1:1', 'email', 'in', id, '2020-03-01T10:00Z',"
        " '<script>Offer</script>', 'Thanks', 'mailbox', 'mail 1' from crm.contacts"
        " where external_id = 'ann'"
        " and organization_id = (select id from crm.organizations where external_id = 'timed')"
    )
    text = api.client.get(f"{PAGES}/messages?organization=timed&recipient=ann").text
    assert "&lt;script&gt;Offer&lt;/script&gt;" in text
    assert "<script>Offer" not in text
    assert "Thanks" in text


def says(page: Any, words: str) -> None:
    """Waits for the page that answers with just these words."""
    exactly = re.compile(rf"^\s*{re.escape(words)}\s*$")
    page.get_by_role("status").filter(has_text=exactly).wait_for()
