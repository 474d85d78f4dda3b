"""The standing of connections: on the page for operators, in health, in the command."""

import datetime as dt

import pytest

from marketing_pipelines.observability import health
from marketing_pipelines_tests.api.browser import chromium
from marketing_pipelines_tests.api.conftest import NOW, Api
from marketing_pipelines_tests.api.serving import in_process
from marketing_pipelines_tests.api.test_pages import PAGES, sign_in
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.world import Connected
from marketing_pipelines_tests.scale import soak_only

HOUR = dt.timedelta(hours=1)
KEY = "k3y-that-no-page-has"
ERROR = "https://api.example.org/v2 answers 500 (<b>out of order</b>)."


@pytest.fixture
def world(installation: Installation) -> Connected:
    """One connection of each state; leads are overdue since an hour before NOW."""
    world = Connected(installation)
    leads = {"url": "https://api.example.org", "access_key": KEY, "secret_key": KEY}
    failing = world.connect("leadsquared", **leads)
    world.connect("enrichment", api_key=KEY)
    world.execute("insert into crm.users (organization_id, external_id, name) select id, 'ann',"
                  " 'Ann <Lee>' from crm.organizations where external_id = 'acme'"
                  " on conflict do nothing")  # fmt: skip
    for name in ("google-ok", "google-failing", "google-reconnect"):
        grant = world.connect(
            "oauth", name=name, token_url="https://x.example/token", client_id="app",
            client_secret=KEY, refresh_token=KEY, owner="ann",
        )  # fmt: skip
        world.execute(
            "update integrations.connections set state = :state, refresh_expires_at = :end,"
            " expires_at = :soon, error = :error where id = :id",
            state=name.removeprefix("google-"), end=NOW + 48 * HOUR, soon=NOW + HOUR,
            error=None if name == "google-ok" else f"The grant {grant.name} got no token.",
            id=grant.id,
        )  # fmt: skip
        world.execute(
            "insert into integrations.syncs (connection_id, what, last_ok_at, overdue_at)"
            " values (:id, 'tokens', :ok, :due)",
            id=grant.id, ok=NOW - HOUR, due=NOW + 240 * HOUR,
        )  # fmt: skip
    world.connect("smtp", "umbra", domain="news.umbra.example", host="mail.umbra.example")
    world.execute("update integrations.connections set state = 'reconnect' where provider ="
                  " 'enrichment'")  # fmt: skip
    world.execute(
        "update integrations.connections set state = 'failing', error = :error where id = :id",
        error=ERROR,
        id=failing.id,
    )
    world.execute(
        "insert into integrations.syncs (connection_id, what, last_ok_at, last_tick, backlog,"
        " next_at, error, overdue_at) values (:id, 'leads', :ok, :ok, 4200, :next, :error, :due)",
        id=failing.id,
        ok=NOW - 4 * HOUR,
        next=NOW + HOUR,
        error=ERROR,
        due=NOW - HOUR,
    )
    return world


def test_the_page_lists_each_connection_with_state_backlog_and_error(
    world: Connected, api: Api
) -> None:
    world.connect("google", name="sheets", grant="google-ok")
    world.connect("imap", address="ann@acme.example", host="imap.acme.example", grant="google-ok")
    sign_in(api, "read")
    shown = api.client.get(f"{PAGES}/connections").text
    expected = [
        *("by grant google-ok", "used by google:sheets, imap:ann@acme.example"),
        *("acme", "leadsquared", "failing", "overdue", "reconnect", "news.umbra.example"),
        *("4200", "2026-03-01 08:30", "2026-03-01 13:30", "&lt;b&gt;out of order"),
    ]
    expected += ["of Ann &lt;Lee&gt;", "token 2026-03-01 13:30", "grant 2026-03-03 12:30"]
    for text in expected:
        assert text in shown, text
    order = [shown.index(name) for name in ("google-reconnect", "google-failing", "google-ok")]
    assert order == sorted(order), "those that need a person come first"
    assert KEY not in shown


def test_health_names_a_synchronization_that_makes_no_progress(
    world: Connected, installation: Installation
) -> None:
    sentence = (
        "The leads of leadsquared of acme make no progress: look at `marketing-pipelines "
        "connection list`."
    )
    for at, is_overdue in ((NOW, True), (NOW - HOUR, False)):
        with installation.engine.begin() as connection:
            found = health.report(connection, installation.instance, at)
        assert (sentence in found.reasons) is is_overdue


def test_the_command_shows_the_same(world: Connected) -> None:
    listed = call_here("connection", "list", "leadsquared").stdout.splitlines()
    assert listed[0].split("  ")[0] == "organization"
    assert listed[1].split()[:4] == ["acme", "leadsquared", "failing", "leads"]
    assert "4200" in listed[1]
    assert len(listed) == 2
    assert "reconnect" in call_here("connection", "list", "--organization", "acme").stdout


@pytest.mark.soak
@soak_only
def test_the_page_fits_wide_and_narrow_screens(world: Connected, api: Api) -> None:
    api.bearer("read")
    with in_process(api.app) as address, chromium() as page:
        page.goto(f"{address}/admin")
        page.get_by_label("Token").fill(api.made["read"])
        page.get_by_role("button", name="Sign in").click()
        for width in (1400, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(f"{address}{PAGES}/connections")
            page.get_by_text("news.umbra.example").wait_for()
            overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert overflow <= 0, width
