"""Nobody gets in without a token that allows it, and everybody who tries is in the audit log."""

import datetime as dt

import pytest
import sqlalchemy as sa
from starlette.routing import Route
from starlette.testclient import TestClient

from marketing_pipelines.api import tokens
from marketing_pipelines.api.admission import is_guarded
from marketing_pipelines.api.app import ROUTERS, build_app
from marketing_pipelines.api.strangers import ENTRIES_OF_ALL, Strangers
from marketing_pipelines.failures import BadInputError, StoreUnavailableError
from marketing_pipelines_tests.api.conftest import CRON_SECRET, NOW, Api
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import Installation

SESSIONS = "/admin/sessions"
TRIGGER = "/admin/jobs/analytics/warehouse/trigger"
CRON = "/cron/analytics/warehouse"
OPEN = {"/health/jobs", "/health/live", "/health/ready", "/metrics", "/static/admin.css"}
# Signed by us or by a provider.
OPEN |= {
    "/c/{token}",
    "/confirm/{token}",
    "/exports/{token}",
    "/hooks/{provider}",
    "/o/{token}.gif",
    "/preferences/{token}",
    "/unsubscribe/{token}",
    "/view/{token}",
}


@pytest.fixture
def installation(emptied: Installation) -> Installation:
    """That of the file: its tests change rows alone."""
    return emptied


def test_without_any_token_admin_addresses_answer_503_and_do_nothing(api: Api) -> None:
    for path in ("/admin", SESSIONS, "/admin/nothing", "/admin/pages/sign-in"):
        assert api.client.get(path).status_code == 503, path
    answer = api.client.post(TRIGGER)
    assert answer.status_code == 503
    assert answer.json() == {
        "error": "No token has been made: `marketing-pipelines token create` makes one."
    }
    assert api.installation.rows("select 1 from ops.job_sessions") == []
    assert api.audit()[-1] == ("unknown", "POST", TRIGGER, 503)


def test_a_wrong_token_is_401_a_missing_scope_403_and_all_are_in_the_audit_log(api: Api) -> None:
    good = api.bearer("read")["Authorization"]
    wrong = [
        None,
        "Bearer",
        "Bearer nonsense",
        f"{good}x",
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good.replace("mp_1_", "mp_2_"),
        good.replace("Bearer", "Basic"),
        "Bearer mp_99999999999999999999_" + "x" * 43,
    ]
    for header in wrong:
        answer = api.client.get(SESSIONS, headers={"Authorization": header} if header else {})
        assert answer.status_code == 401, header
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"].endswith(".")
    assert api.client.post(TRIGGER, headers={"Authorization": good}).status_code == 403
    assert api.client.get(SESSIONS, headers={"Authorization": good}).status_code == 200
    assert api.audit() == [
        *[("unknown", "GET", SESSIONS, 401)] * len(wrong),
        ("the read token", "POST", TRIGGER, 403),
        ("the read token", "GET", SESSIONS, 200),
    ]


@pytest.mark.parametrize(
    ("scope", "reads", "triggers", "redrives"),
    [
        ("read", True, False, False),
        ("write", False, False, False),
        ("trigger", False, True, False),
        ("admin", True, True, True),
    ],
)
def test_each_scope_is_for_itself_and_admin_for_all(
    api: Api, scope: tokens.Scope, reads: bool, triggers: bool, redrives: bool
) -> None:
    header = api.bearer(scope)
    assert (api.client.get(SESSIONS, headers=header).status_code == 200) is reads
    assert (api.client.post(TRIGGER, headers=header).status_code == 202) is triggers
    status = api.client.post("/admin/dead-letters/1/redrive", headers=header).status_code
    assert status == (404 if redrives else 403)


def test_no_address_is_open_by_mistake(api: Api) -> None:
    api.bearer("read")
    routes = [r for router in ROUTERS for r in router.routes if isinstance(r, Route)]
    paths = {route.path for route in routes}
    assert {path for path in paths if not is_guarded(path)} == OPEN
    assert len(paths) > 20
    for route in routes:
        if route.path in OPEN:
            continue
        path = route.path.replace("{number}", "1").replace("{domain}", "a")
        path = path.replace("{outcome}", "b").replace("{name}", "c")
        for method in route.methods or ():
            status = api.client.request(method, path).status_code
            page = path.startswith("/admin/pages") or path == "/admin"
            signs_in = path == "/admin/pages/sign-in"
            expected = {200, 401} if signs_in else {303} if page else {401}
            assert status in expected, (method, path, status)


def test_a_revoked_token_is_refused_at_once(api: Api) -> None:
    header = api.bearer("read")
    with api.installation.engine.begin() as connection:
        tokens.revoke(connection, 1)
        api.made.clear()
        tokens.create(connection, "another", ["read"])
        with pytest.raises(BadInputError, match="no valid token 1"):
            tokens.revoke(connection, 1)
    assert api.client.get(SESSIONS, headers=header).status_code == 401


def test_only_a_hash_of_a_token_is_stored_and_analysts_do_not_read_even_that(api: Api) -> None:
    api.bearer("read")
    secret = api.made["read"].split("_", 2)[2]
    [(row,)] = api.installation.rows("select tokens::text from ops.tokens")
    assert secret not in str(row)
    for table in ("ops.tokens", "ops.audit_log"):
        [(allowed,)] = api.installation.rows(
            f"select has_table_privilege('marketing_reader', '{table}', 'select')"
        )
        assert allowed is False


@pytest.mark.fault(48)
def test_fault_48_the_cron_address_wants_its_secret(api: Api) -> None:
    wrong = [None, "Bearer", f"Bearer {CRON_SECRET}x", f"Bearer {CRON_SECRET[:-1]}", CRON_SECRET]
    for header in wrong:
        answer = api.client.post(CRON, headers={"Authorization": header} if header else {})
        assert answer.status_code == 401, header
    admin = api.client.post(CRON, headers=api.bearer("admin"))
    assert admin.status_code == 401
    assert api.installation.rows("select 1 from ops.job_sessions") == []
    right = {"Authorization": f"Bearer {CRON_SECRET}"}
    assert api.client.get(CRON, headers=right).status_code == 202
    assert api.client.post(CRON, headers=right).status_code == 409
    assert api.client.get(SESSIONS, headers=right).status_code == 401
    assert [row[0] for row in api.audit()] == ["unknown"] * 6 + ["cron secret"] * 2 + ["unknown"]


def test_without_a_cron_secret_these_addresses_answer_503(api: Api) -> None:
    site = api.app.state.site
    object.__setattr__(site, "settings", api.installation.settings)
    answer = api.client.post(CRON, headers={"Authorization": "Bearer "})
    assert answer.status_code == 503
    assert "set MARKETING_CRON_SECRET" in answer.json()["error"]


INJECTIONS = [
    "1'; drop table ops.job_sessions; --",
    "2026-03-01' or '1'='1",
    "%27%3B+select+pg_sleep(10)--",
    "../../etc/passwd",
    "{{ 7 * 7 }}",
    "<script>alert(1)</script>",
    "\ud7ff",
    "x" * 199,
]


@pytest.mark.fault(48)
@pytest.mark.parametrize("text", INJECTIONS)
def test_fault_48_what_is_injected_is_only_text(api: Api, text: str) -> None:
    right = {"Authorization": f"Bearer {CRON_SECRET}"}
    params = {"partition": text}
    partitioned = "/cron/analytics/event_aggregates"
    assert api.client.post(partitioned, params=params, headers=right).status_code == 422
    assert api.client.post(CRON, params=params, headers=right).status_code == 422
    assert api.client.post(f"/cron/analytics/{text}", headers=right).status_code in (404, 422)
    found = api.client.get(SESSIONS, params={"job": text}, headers=api.bearer("read"))
    assert (found.status_code, found.json()) == (200, [])
    assert api.client.post(CRON, headers=right).status_code == 202
    assert len(api.installation.rows("select 1 from ops.job_sessions")) == 1


def test_a_nul_is_refused_and_its_path_can_be_stored(api: Api) -> None:
    header = api.bearer("read")
    for path in ("/admin/%00", f"{SESSIONS}?job=%00"):
        answer = api.client.get(path, headers=header)
        assert answer.status_code == 400, path
    assert [row[2:] for row in api.audit()] == [("/admin/\ufffd", 400), (SESSIONS, 400)]


def test_an_answer_that_was_never_given_leaves_an_entry_without_status(api: Api) -> None:
    class KilledError(BaseException):
        pass

    @api.app.get("/admin/deadly")
    def die() -> None:
        raise KilledError

    with pytest.raises(KilledError):
        api.client.get("/admin/deadly", headers=api.bearer("read"))
    assert api.audit() == [("the read token", "GET", "/admin/deadly", None)]


def test_many_calls_of_a_stranger_share_an_entry_of_the_audit_log(api: Api) -> None:
    now = NOW
    object.__setattr__(api.app.state.site, "now", lambda: now)
    header = api.bearer("read")
    for _ in range(50):
        assert (
            api.client.get(SESSIONS, headers={"Authorization": "Bearer guess"}).status_code == 401
        )
    calls = "select actor, calls, count(*) from ops.audit_log group by 1, 2 order by 1, 2"
    assert api.installation.rows(calls) == [("unknown", 1, 19), ("unknown", 31, 1)]
    for _ in range(30):
        assert api.client.get(SESSIONS, headers=header).status_code == 200
    assert api.installation.rows(calls)[0] == ("the read token", 1, 30), "a token's are all noted"
    signed = api.client.post("/admin/pages/sign-in", data={"token": api.made["read"]})
    assert signed.status_code == 303
    assert api.audit()[-1] == ("the read token", "POST", "/admin/pages/sign-in", 303)
    assert ("unknown", 31, 1) in api.installation.rows(calls)
    now = NOW + dt.timedelta(minutes=1)
    api.client.get(SESSIONS)
    assert api.audit()[-1] == ("unknown", "GET", SESSIONS, 401), "the next minute has its own"


def test_many_strangers_together_have_a_limit_too() -> None:
    strangers = Strangers()
    for number in range(ENTRIES_OF_ALL):
        assert strangers.shared_entry(f"10.0.0.{number}", NOW) is None
        strangers.noted(f"10.0.0.{number}", number, NOW)
    assert strangers.shared_entry("10.9.9.9", NOW) == ENTRIES_OF_ALL - 1
    assert strangers.shared_entry("10.9.9.9", NOW + dt.timedelta(minutes=1)) is None


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.7", ""])
def test_on_loopback_no_address_answers_under_a_name_of_others(api: Api, host: str) -> None:
    app = build_app(
        settings=api.installation.settings.model_copy(
            update={"public_url": "https://marketing.example"}
        ),
        engine=api.installation.engine,
        instance=api.instance,
        host="127.0.0.1",
    )
    client = TestClient(app, follow_redirects=False)
    for path in ("/metrics", "/health/live", "/admin", "/openapi.json", CRON):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 421, path
        assert "MARKETING_PUBLIC_URL" in answer.text
    for own in ("127.0.0.1:8000", "localhost:1", "[::1]:8000", "MARKETING.example"):
        assert client.get("/health/live", headers={"Host": own}).status_code == 200, own


FAR = ["9999-12-31", "9999-12-30", "3000-01-01", "0001-01-01", "10000-01-01"]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_a_partition_far_away_is_422(api: Api, zone: str) -> None:
    settings = api.installation.settings.model_copy(
        update={"timezone": zone, "cron_secret": CRON_SECRET}
    )
    object.__setattr__(api.app.state.site, "settings", settings)
    right = {"Authorization": f"Bearer {CRON_SECRET}"}
    keys = {
        "event_aggregates": FAR,
        "monthly_usage": [f"{key[:-2]}01" for key in FAR],
        "contact_activity": [f"{key}-{hour}:00" for key in FAR for hour in ("00", "23")],
    }
    for job, partitions in keys.items():
        for partition in partitions:
            answer = api.client.post(
                f"/cron/analytics/{job}", params={"partition": partition}, headers=right
            )
            assert answer.status_code == 422, (job, partition)
            assert "is not a partition" in answer.json()["error"]


def test_the_entry_says_when_from_where_and_with_which_token(api: Api) -> None:
    api.client.get(SESSIONS, headers=api.bearer("read"))
    assert api.installation.rows("select asked_at, address, token_id from ops.audit_log") == [
        (NOW, "testclient", 1)
    ]


def test_tokens_are_made_listed_and_revoked_on_the_command_line(
    installation: Installation,
) -> None:
    made = call_here("token", "create", "--scope", "trigger", "--scope", "read", "--name", "ops")
    assert made.returncode == 0, made.stderr
    text = made.stdout.splitlines()[-1]
    with installation.engine.begin() as connection:
        token = tokens.verify(connection, text)
    assert token is not None
    assert (token.name, token.scopes) == ("ops", {"read", "trigger"})
    listed = call_here("token", "list").stdout
    assert "read, trigger" in listed
    assert text.split("_", 2)[2] not in listed
    assert call_here("token", "revoke", "1").returncode == 0
    with installation.engine.begin() as connection:
        assert tokens.verify(connection, text) is None
    assert call_here("token", "create", "--scope", "everything").returncode == 2
    assert call_here("token", "revoke", "1").returncode == 1


def test_a_database_that_is_down_is_503(api: Api) -> None:
    header = api.bearer("admin")
    gone = sa.create_engine("postgresql+psycopg://nobody@/nowhere?host=/nonexistent")
    object.__setattr__(api.app.state.site, "engine", gone)
    for path in ("/health/ready", SESSIONS, "/admin", CRON):
        answer = api.client.get(path, headers=header)
        assert answer.status_code == 503, path
        assert "PostgreSQL does not answer" in answer.text
    assert api.client.get("/health/live").json() == {"status": "live"}
    verdict = api.client.get("/health/jobs")
    assert (verdict.status_code, verdict.json()["status"]) == (503, "unhealthy")
    assert api.client.get("/metrics").status_code == 200


@pytest.mark.parametrize("path", ["/broken", "/health/broken", "/admin/broken"])
def test_an_error_that_nobody_expects_is_one_sentence_at_every_address(
    api: Api, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    @api.app.get(path)
    def fail() -> None:
        raise LookupError("It broke.")

    answer = api.client.get(path, headers=api.bearer("read"))
    assert answer.status_code == 500
    assert answer.json() == {
        "error": "Something failed that should not: the log of `api` says what."
    }
    assert "LookupError: It broke." in caplog.text


def test_no_secret_is_in_an_answer_or_in_the_audit_log(api: Api) -> None:
    planted = "planted-secret-0123456789"

    @api.app.get("/admin/unreachable")
    def fail() -> None:
        raise StoreUnavailableError(f"postgresql://user:{planted}@host/db does not answer.")

    answer = api.client.get(
        "/admin/unreachable", params={"token": planted}, headers=api.bearer("read")
    )
    assert answer.status_code == 503
    assert "host/db does not answer." in answer.text
    assert planted not in answer.text
    [(row,)] = api.installation.rows("select audit_log::text from ops.audit_log")
    assert planted not in str(row)
    assert api.made["read"] not in str(row)


def test_the_secret_of_cookies_is_made_once_and_only_its_owner_reads_it(api: Api) -> None:
    path = api.installation.settings.data_dir / "secret_key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text()) == 64
