"""The Dagster UI: no page of another site, and no stranger, changes anything there."""

import contextlib
import http.client
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from marketing_pipelines.api import tokens
from marketing_pipelines_tests.api.browser import chromium
from marketing_pipelines_tests.cli.console import call_here, start
from marketing_pipelines_tests.faults.running import free_port
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until

SCHEDULE = "upkeep__run_history_schedule"
STOP = "mutation Stop($id: String!) { stopRunningSchedule(id: $id) { __typename } }"
START = """
mutation Start {
  startSchedule(scheduleSelector: {
    repositoryLocationName: "marketing_pipelines",
    repositoryName: "__repository__",
    scheduleName: "%s"
  }) { __typename }
}
"""
STATE = """
{ schedulesOrError(repositorySelector: {
    repositoryLocationName: "marketing_pipelines", repositoryName: "__repository__"
  }) { __typename ... on Schedules { results { name scheduleState { id status } } } } }
"""
PROTOCOL = [Subprotocol("graphql-ws")]
SIGN_IN = "/admin/pages/sign-in"
Answer = tuple[int, dict[str, str], str]


@dataclass(frozen=True)
class Ui:
    """`marketing-pipelines ui` on a free port."""

    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(
        self, method: str, path: str, body: str | None = None, **headers: str | None
    ) -> Answer:
        """A request as curl makes it; `Host` is the server's unless given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, path, skip_host=True)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in ({"Host": f"127.0.0.1:{self.port}"} | given).items():
            if value is not None:
                connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(None if body is None else body.encode())
        answer = connection.getresponse()
        found = (
            answer.status,
            {k.lower(): v for k, v in answer.getheaders()},
            answer.read().decode(),
        )
        connection.close()
        return found

    def ask(self, query: str, variables: Any = None, **headers: str | None) -> dict[str, Any]:
        """Asks as the UI's own pages do."""
        body = json.dumps({"query": query, "variables": variables or {}})
        origin = {"Origin": self.address, "Sec-Fetch-Site": "same-origin"}
        sent = {"Content_Type": "application/json", **origin, **headers}
        status, _, text = self.send("POST", "/graphql", body, **sent)
        assert status == 200, text
        data: dict[str, Any] = json.loads(text)["data"]
        return data

    def schedule(self, **headers: str | None) -> dict[str, str]:
        """Number and status of a schedule that is on by default."""
        found = self.ask(STATE, **headers)["schedulesOrError"]["results"]
        [state] = [one["scheduleState"] for one in found if one["name"] == SCHEDULE]
        return dict(state)


@contextlib.contextmanager
def serving_ui(*arguments: str, **variables: str) -> Iterator[Ui]:
    ui = Ui(free_port())

    def answers() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return ui.send("GET", "/server_info", Accept="text/html")[0] in (200, 303)
        return False

    with start("ui", "--port", str(ui.port), *arguments, **variables) as process:
        until(lambda: answers() or process.poll() is not None, seconds=90, what="the UI to answer")
        assert process.poll() is None, process.communicate()
        yield ui


@pytest.fixture(scope="module")
def ui(shared_installation: Installation) -> Iterator[Ui]:
    with serving_ui() as served:
        yield served


@pytest.fixture(scope="module")
def closed(shared_installation: Installation) -> Iterator[Ui]:
    """The same where it asks for a sign-in, with a token of scope read and one of scope admin."""
    with serving_ui(MARKETING_UI_AUTH="on") as served:
        yield served


def bearer(installation: Installation, *scopes: tokens.Scope) -> str:
    with installation.engine.begin() as connection:
        return tokens.create(connection, f"ui {' '.join(scopes)}", scopes)


def test_the_ui_itself_works(ui: Ui) -> None:
    assert ui.schedule()["status"] == "RUNNING"
    assert ui.ask(STOP, {"id": ui.schedule()["id"]}) == {
        "stopRunningSchedule": {"__typename": "ScheduleStateResult"}
    }
    assert ui.schedule()["status"] == "STOPPED"
    script = ui.ask(START % SCHEDULE, Origin=None, Sec_Fetch_Site=None)
    assert script == {"startSchedule": {"__typename": "ScheduleStateResult"}}
    assert ui.schedule()["status"] == "RUNNING"
    assert ui.send("GET", "/graphql?query=%7B%20version%20%7D")[0] == 200
    status, headers, text = ui.send("GET", "/runs", Sec_Fetch_Site="none")
    assert (status, headers["x-frame-options"]) == (200, "SAMEORIGIN")
    assert "<html" in text


def attempts(ui: Ui) -> Iterator[tuple[str, Answer, set[int]]]:
    """Every way to stop the schedule from outside: what it is, its answer, the right statuses."""
    number = ui.schedule()["id"]
    body = json.dumps({"query": STOP, "variables": {"id": number}})
    variables = quote(json.dumps({"id": number}))
    address = f"/graphql?query={quote(STOP)}&variables={variables}"
    tricky = f"/graphql?query=%7Bversion%7D&query={quote(STOP)}&variables={variables}"
    for name in ("evil.example", "evil.example:3000", "localhost.evil.example", "10.0.0.7"):
        yield (
            f"host {name}",
            ui.send("POST", "/graphql", body, Host=name, Content_Type="application/json"),
            {421},
        )
    yield (
        "no host",
        ui.send("POST", "/graphql", body, Host=None, Content_Type="application/json"),
        {400, 421},
    )
    origins = [
        "http://evil.example",
        "null",
        "file://",
        "",
        f"http://127.0.0.1:{ui.port + 1}",
        f"https://127.0.0.1.evil.example:{ui.port}",
        f"http://localhost:{ui.port}",
    ]
    for origin in origins:
        yield (
            f"origin {origin}",
            ui.send("POST", "/graphql", body, Origin=origin, Content_Type="application/json"),
            {403},
        )
    for site in ("cross-site", "same-site"):
        yield (
            f"site {site}",
            ui.send("POST", "/graphql", body, Sec_Fetch_Site=site, Content_Type="application/json"),
            {403},
        )
        navigation = {
            "Sec_Fetch_Site": site,
            "Sec_Fetch_Mode": "navigate",
            "Sec_Fetch_Dest": "document",
        }
        yield f"link {site}", ui.send("GET", address, **navigation), {403}
    for path in (address, tricky, f"/%67raphql?{urlsplit(address).query}"):
        for method in ("GET", "HEAD"):
            yield f"{method} {path[:20]}", ui.send(method, path), {405}
    kinds = ["text/plain", "text/plain; application/json", "multipart/form-data; boundary=x",
             "application/x-www-form-urlencoded", "", None]  # fmt: skip
    for kind in kinds:
        yield f"type {kind}", ui.send("POST", address, body, Content_Type=kind), {415}
    yield (
        "a comment before it",
        ui.send("GET", f"/graphql?query={quote('# x' + chr(10) + STOP)}&variables={variables}"),
        {405},
    )
    yield "not GraphQL", ui.send("GET", f"/graphql?query={quote('mutation {')}"), {400}


def test_nothing_from_outside_stops_a_schedule(ui: Ui) -> None:
    answered = [
        (what, status) for what, (status, _, _), right in attempts(ui) if status not in right
    ]
    assert answered == []
    assert ui.schedule()["status"] == "RUNNING"


def test_links_from_elsewhere_open_pages_and_frames_do_not(ui: Ui) -> None:
    navigation = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ui.send("GET", "/runs", **navigation, Sec_Fetch_Dest="document")[0] == 200
    assert ui.send("GET", "/runs", **navigation, Sec_Fetch_Dest="iframe")[0] == 403
    assert ui.send("GET", "/server_info", Sec_Fetch_Site="cross-site")[0] == 403


def test_subscriptions_work_over_a_websocket_of_the_ui_alone(ui: Ui) -> None:
    address = f"ws://127.0.0.1:{ui.port}/graphql"
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ui.address, "Sec-Fetch-Site": "cross-site"},
    ):
        with pytest.raises(InvalidStatus), connect(address, additional_headers=headers):
            pass
    query = "subscription { locationStateChangeEvents { event { eventType } } }"
    own = {"Origin": ui.address}
    with connect(address, additional_headers=own, subprotocols=PROTOCOL) as socket:
        socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(socket.recv(10)) == {"type": "connection_ack"}
        socket.send(json.dumps({"id": "1", "type": "start", "payload": {"query": query}}))
        stop = {"query": STOP, "variables": {"id": ui.schedule()["id"]}}
        socket.send(json.dumps({"id": "2", "type": "start", "payload": stop}))
        with pytest.raises(Exception, match="1008"):
            socket.recv(10)
    assert ui.schedule()["status"] == "RUNNING"


class Evil(http.server.BaseHTTPRequestHandler):
    """A page of another origin that tries to stop the schedule."""

    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""


EVIL = """<!doctype html><title>working</title><body><form id=f method=post enctype=text/plain
 action="%(address)s/graphql?query=%(query)s&variables=%(variables)s" target=t><input name=a></form>
<iframe name=t></iframe><iframe src="%(address)s/runs"></iframe>
<img src="%(address)s/graphql?query=%(query)s&variables=%(variables)s">
<script>
const url = "%(address)s/graphql", stop = %(body)s, get = document.images[0].src;
const types = ["application/json", "text/plain", "text/plain; application/json"];
const tries = types.map(t => fetch(url, {method: "POST", body: stop, headers: {"Content-Type": t},
  credentials: "include"}));
tries.push(...types.map(t => fetch(url, {method: "POST", body: stop, mode: "no-cors",
  headers: {"Content-Type": t}, credentials: "include"})));
tries.push(fetch(get), fetch(get, {mode: "no-cors"}));
tries.push(Promise.resolve(navigator.sendBeacon(get, stop)));
document.getElementById("f").submit();
tries.push(new Promise(done => {
  const socket = new WebSocket(url.replace("http", "ws"), "graphql-ws");
  socket.onopen = () => { socket.send(JSON.stringify({id: "1", type: "start",
    payload: JSON.parse(stop)})); setTimeout(() => done("open"), 500); };
  socket.onerror = () => done("refused");
}));
Promise.allSettled(tries).then(found => {
  const last = found[found.length - 1].value;
  const read = found.slice(0, 3).filter(one => one.status == "fulfilled").length;
  document.title = "tried " + found.length + ", read " + read + ", socket " + last;
});
</script>"""


@pytest.mark.soak
@soak_only
def test_a_page_of_another_origin_in_a_browser_cannot_stop_a_schedule(ui: Ui) -> None:
    number = ui.schedule()["id"]
    body = json.dumps({"query": STOP, "variables": {"id": number}})
    Evil.page = (
        EVIL
        % {
            "address": ui.address,
            "query": quote(STOP),
            "variables": quote(json.dumps({"id": number})),
            "body": json.dumps(body),
        }
    ).encode()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    rebinding = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    try:
        with chromium(rebinding) as page:
            for name in ("localhost", "127.0.0.1", "evil.example"):
                page.goto(f"http://{name}:{server.server_port}/")
                page.wait_for_function("document.title.startsWith('tried')")
                assert page.title() == "tried 10, read 0, socket refused", name
                page.wait_for_load_state("networkidle")
                assert ui.schedule()["status"] == "RUNNING", name
            rebound = page.goto(f"http://evil.example:{ui.port}/runs")
            assert rebound is not None
            assert rebound.status == 421
            stopped = page.evaluate(
                "body => fetch('/graphql', {method: 'POST', body,"
                " headers: {'Content-Type': 'application/json'}}).then(answer => answer.status)",
                body,
            )
            assert stopped == 421
            own = page.goto(f"{ui.address}/overview")
            assert own is not None
            assert own.status == 200
            page.get_by_text("Runs").first.wait_for()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert ui.schedule()["status"] == "RUNNING"


def test_where_it_asks_for_a_sign_in_a_stranger_sees_nothing(
    closed: Ui, shared_installation: Installation
) -> None:
    bearer(shared_installation, "read")
    status, headers, _ = closed.send("GET", "/runs", Accept="text/html")
    assert (status, headers["location"]) == (303, SIGN_IN)
    for path in (
        "/server_info",
        "/graphql?query=%7Bversion%7D",
        "/logs/x.out",
        "/download_debug/x",
    ):
        assert closed.send("GET", path)[0] == 401, path
    body = json.dumps({"query": "{ version }"})
    sent = {"Content_Type": "application/json"}
    assert closed.send("POST", "/graphql", body, **sent)[0] == 401
    wrong = closed.send("POST", "/graphql", body, **sent, Authorization="Bearer mp_1_guess")
    assert wrong[0] == 401
    assert closed.send("POST", "/report_asset_materialization/a", "{}", **sent)[0] == 401
    with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{closed.port}/graphql"):
        pass
    assert "Sign in" in closed.send("GET", SIGN_IN)[2]


def test_scope_read_looks_and_scope_admin_changes(
    closed: Ui, shared_installation: Installation
) -> None:
    read = f"Bearer {bearer(shared_installation, 'read')}"
    admin = f"Bearer {bearer(shared_installation, 'admin')}"
    trigger = f"Bearer {bearer(shared_installation, 'trigger', 'write')}"
    number = closed.schedule(Authorization=read)["id"]
    body = json.dumps({"query": STOP, "variables": {"id": number}})
    for given in (read, trigger):
        status, _, text = closed.send(
            "POST", "/graphql", body, Content_Type="application/json", Authorization=given
        )
        assert status == 403
        assert "one with scope" in json.loads(text)["errors"][0]["message"]
    report = "/report_asset_materialization/analytics/warehouse"
    assert closed.send("POST", report, "", Authorization=read)[0] == 403
    assert closed.schedule(Authorization=read)["status"] == "RUNNING"
    closed.ask(STOP, {"id": number}, Authorization=admin)
    assert closed.schedule(Authorization=read)["status"] == "STOPPED"
    closed.ask(START % SCHEDULE, Authorization=admin)


def test_one_signs_in_and_out_in_a_browser_and_the_server_ends_it(
    closed: Ui, shared_installation: Installation
) -> None:
    token = bearer(shared_installation, "admin")
    with chromium() as page:
        page.goto(f"{closed.address}/runs")
        page.wait_for_url(f"{closed.address}{SIGN_IN}")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("Runs").first.wait_for()
        [cookie] = page.context.cookies()
        assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (
            "marketing_ui",
            True,
            "Strict",
        )
        held = f"marketing_ui={cookie['value']}"
        closed.schedule(Cookie=held)
        page.goto(f"{closed.address}/admin/pages/sign-out")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{closed.address}{SIGN_IN}")
    assert closed.send("GET", "/server_info", Cookie=held)[0] == 401
    assert shared_installation.rows("select 1 from ops.user_sessions") == []


@pytest.mark.soak
@soak_only
def test_revoking_a_token_closes_the_websockets_of_its_sign_ins(
    closed: Ui, shared_installation: Installation
) -> None:
    token = bearer(shared_installation, "read")
    bearer(shared_installation, "read")
    headers = {"Authorization": f"Bearer {token}"}
    number = token.split("_")[1]
    address = f"ws://127.0.0.1:{closed.port}/graphql"
    with connect(address, additional_headers=headers, subprotocols=PROTOCOL) as socket:
        socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(socket.recv(10)) == {"type": "connection_ack"}
        assert call_here("token", "revoke", number).returncode == 0

        def refused() -> bool:
            try:
                socket.send(json.dumps({"type": "connection_init"}))
                socket.recv(10)
            except Exception as error:
                return "1008" in str(error)
            return False

        until(refused, seconds=30, what="the server to close the websocket")


def test_it_asks_for_a_sign_in_beyond_loopback_unless_told_otherwise(
    shared_installation: Installation,
) -> None:
    from marketing_pipelines.api.ui import asks_for_sign_in

    settings = shared_installation.settings
    on, off = (settings.model_copy(update={"ui_auth": given}) for given in (True, False))
    for host in ("127.0.0.1", "::1", "localhost", "127.0.0.2"):
        assert [asks_for_sign_in(one, host) for one in (settings, on, off)] == [False, True, False]
    beyond = ("0.0.0.0", "::", "10.0.0.7", "host.example", "")  # noqa: S104
    for host in beyond:
        assert [asks_for_sign_in(one, host) for one in (settings, on, off)] == [True, True, False]
