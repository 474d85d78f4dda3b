"""Fault 47: secrets reach no log, session, error, event, alert or metadata."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from marketing_pipelines.api.answers import answer
from marketing_pipelines.api.app import build_app
from marketing_pipelines.cli.session import dagster_instance
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.redaction import redact
from marketing_pipelines.runs.sentry import report
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines_tests import given_program
from marketing_pipelines_tests.api.conftest import Api
from marketing_pipelines_tests.api.test_pages import ALL, sign_in
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.probe import KEY, run_probe
from marketing_pipelines_tests.queueing.installed import drain, put
from marketing_pipelines_tests.queueing.test_attempts import hired
from marketing_pipelines_tests.recording import Endpoint, endpoint
from marketing_pipelines_tests.waiting import until

pytestmark = pytest.mark.fault

PASSWORD, TOKEN, KEY_OF_SENTRY = "tiger-in-the-tank", "T0KENofTheHook", "ffee00sentrykey11"
OTHERS = {
    name: f"planted-{name}-value-of-more-than-32-characters"
    for name in Settings.model_fields
    if name in ("cron_secret", "secret_key", "old_secret_keys")
}
SECRETS = [PASSWORD, TOKEN, KEY_OF_SENTRY, *OTHERS.values()]


@pytest.fixture
def sentry() -> Iterator[Endpoint]:
    with endpoint() as opened:
        yield opened


@pytest.fixture
def planted(
    environment: dict[str, str], sentry: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """An installation whose every setting that may hold a secret holds one."""
    database = environment["MARKETING_DATABASE_URL"].replace("marketing@", f"marketing:{PASSWORD}@")
    assert PASSWORD in database
    variables = {
        "MARKETING_DATABASE_URL": database,
        "MARKETING_ALERT_URLS": f"json://127.0.0.1:1/{TOKEN}",
        "MARKETING_SENTRY_DSN": f"http://{KEY_OF_SENTRY}@127.0.0.1:{sentry.port}/7",
        "MARKETING_LOG_LEVEL": "info",
    } | {f"MARKETING_{name.upper()}": value for name, value in OTHERS.items()}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    return variables


def tell_everything(variables: dict[str, str]) -> str:
    return "cannot connect: " + " ".join(variables.values()) + f" password={PASSWORD}"


@pytest.mark.fault(47)
def test_no_secret_is_told(
    planted: dict[str, str], engine: sa.Engine, sentry: Endpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    story = tell_everything(planted)

    def body(tick: Tick) -> None:
        tick.metadata["story"] = {"of": [story]}
        with tick.begin() as connection:
            for item in tick.items(connection, ["good", "bad"]):
                with item as name:
                    if name == "bad":
                        raise LookupError(story)
        if tick.context.retry_number:
            return
        try:
            raise OSError(story)
        except OSError as error:
            raise ValueError(story) from error

    with dg.DagsterInstance.ephemeral() as instance:
        result = run_probe(engine, body, instance=instance)
        assert result.success
        events = [str(entry) for entry in instance.all_logs(result.run_id)]

        def fails_for_good(_tick: Tick) -> None:
            raise RuntimeError(story)

        get_settings().jobs_file.parent.mkdir(parents=True, exist_ok=True)
        get_settings().jobs_file.write_text(f'["{KEY}"]\nretries = []\n')
        failed = run_probe(engine, fails_for_good, instance=instance)
        assert not failed.success
        events += [str(entry) for entry in instance.all_logs(failed.run_id)]
    tables = ("job_sessions", "item_failures", "incidents", "alerts")
    with engine.connect() as connection:
        rows = [
            str(row)
            for table in tables
            for row in connection.execute(sa.text(f"select * from ops.{table}"))
        ]
    printed = capfd.readouterr()
    [error] = [body for body in sentry.received if '"exception"' in body]
    kept = {
        "events": events,
        "rows": rows,
        "printed": [printed.out, printed.err],
        "sentry": [error],
    }
    for place, texts in kept.items():
        told = "\n".join(texts)
        assert "cannot connect" in told or place == "printed", place
        for secret in SECRETS:
            assert secret not in told, f"{secret} in {place}"


def test_sentry_is_told_of_the_final_failure_with_its_job_tick_and_run(
    planted: dict[str, str], engine: sa.Engine, sentry: Endpoint
) -> None:
    get_settings().jobs_file.parent.mkdir(parents=True, exist_ok=True)
    get_settings().jobs_file.write_text(f'["{KEY}"]\nretries = [0.1]\n')

    def body(_tick: Tick) -> None:
        raise RuntimeError("It broke.")

    result = run_probe(engine, body)
    [event] = events_of(sentry, 1)
    assert event["tags"] == {
        "job": KEY,
        "tick": "2026-03-01T12:00:00+00:00",
        "run": result.run_id,
    }
    assert event["exception"]["values"][-1]["value"] == "It broke."
    assert event["environment"] == "development"


def test_sentry_is_told_of_tasks_and_requests_that_failed_for_good(
    planted: dict[str, str], queue: sa.Engine, sentry: Endpoint
) -> None:
    """A task that says no has not failed."""
    [failed] = put(queue, "fail_none")
    put(queue, "refuse_early")
    drain("--queue", "none", "--queue", "default")
    assert answer("/v1/events", RuntimeError("It broke.")).status_code == 500
    told = until(lambda: events_of(sentry, 2), what="Sentry to be told")
    assert [(event["tags"], event["exception"]["values"][-1]["value"]) for event in told] == [
        (
            {"queue": "none", "task": "recording/fail_none", "task_id": str(failed)},
            "attempt 1 failed",
        ),
        ({"path": "/v1/events"}, "It broke."),
    ]


def test_sentry_is_told_of_every_task_before_its_worker_ends(
    planted: dict[str, str], queue: sa.Engine, sentry: Endpoint
) -> None:
    sentry.seconds = 0.1
    failed = put(queue, "fail_none", 3)
    drain("--queue", "none")
    told = events_of(sentry, len(failed))
    assert {event["tags"]["task_id"] for event in told} == {str(task_id) for task_id in failed}


def events_of(sentry: Endpoint, number: int) -> list[Any]:
    """The errors it was told of, if there are so many."""
    told = [json.loads(body.splitlines()[-1]) for body in sentry.received if '"exception"' in body]
    return told if len(told) == number else []


def test_no_secret_is_in_any_page(planted: dict[str, str], queue: sa.Engine) -> None:
    story = tell_everything(planted)

    def fails_for_good(_tick: Tick) -> None:
        raise RuntimeError(story)

    settings = get_settings()
    settings.jobs_file.parent.mkdir(parents=True, exist_ok=True)
    settings.jobs_file.write_text(f'["{KEY}"]\nretries = []\n')
    put(queue, "refuse", message="")
    attempt = hired(queue).fetch("none")
    # Payloads hold no secrets; what a task says may.
    attempt.payload["message"] = story
    attempt.perform()
    with Installation.open(settings, queue) as installation, dagster_instance() as instance:
        assert not run_probe(queue, fails_for_good, instance=instance).success
        app = build_app(settings=settings, engine=queue, instance=instance)
        client = TestClient(app, follow_redirects=False)
        api = Api(installation, instance, app, client)
        sign_in(api, "read")
        addresses = ["/metrics", "/health/jobs", "/admin/sessions", "/admin/dead-letters"]
        pages = [client.get(path, headers=api.bearer("read")) for path in [*addresses, *ALL]]
    for page in pages:
        path = page.request.url.path
        assert page.status_code in ((200, 503) if path == "/health/jobs" else (200,)), path
        assert "cannot connect" in page.text or not path.endswith(("sessions", "letters")), path
        for secret in SECRETS:
            assert secret not in page.text, f"{secret} in {path}"


@pytest.mark.parametrize("dsn", ["http://{key}@127.0.0.1:1/7", "https://{key}@host", "{key}"])
def test_a_sentry_that_cannot_be_told_hides_no_error(
    planted: dict[str, str], engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, dsn: str
) -> None:
    monkeypatch.setenv("MARKETING_SENTRY_DSN", dsn.format(key=KEY_OF_SENTRY))
    get_settings.cache_clear()
    if not dsn.endswith("/7"):
        with pytest.raises(ConfigurationError) as refused:
            get_settings()
        assert str(refused.value) == (
            "MARKETING_SENTRY_DSN cannot be used: it does not look like https://key@host/number."
        )
        return
    report(RuntimeError("It broke."), {"job": KEY})


def test_logs_are_json_lines_with_job_tick_run_and_session_and_without_secrets(
    planted: dict[str, str], installation: Installation
) -> None:
    program = (
        "import logging, sys\n"
        "from marketing_pipelines.cli.main import main\n"
        "from marketing_pipelines.observability import logs\n"
        "logs.configure()\n"
        "logging.getLogger('marketing_pipelines.x').warning(sys.argv.pop())\n"
        "main()\n"
    )
    arguments = ["run", "operations/metrics", tell_everything(planted)]
    done = given_program.run(program, *arguments)
    done.check_returncode()
    warning, ended = (json.loads(line) for line in done.stderr.splitlines())
    assert warning["level"] == "warning"
    assert ended["event"] == "Session ended as COMPLETED."
    assert ended["job"] == "operations/metrics"
    [(session, run)] = installation.rows("select id, run_id from ops.job_sessions")
    assert (ended["session"], ended["run"]) == (session, run)
    assert set(ended) >= {"at", "tick", "level", "logger"}
    for secret in SECRETS:
        assert secret not in done.stderr + done.stdout


def test_what_is_no_secret_stays_readable(planted: dict[str, str]) -> None:
    text = "PostgreSQL at postgresql://marketing:…@db:5432/marketing does not answer: 127.0.0.1"
    assert redact(text) == text
    assert redact({"rows": 7, "of": ["a/b", 1.5, None]}) == {"rows": 7, "of": ["a/b", 1.5, None]}
    assert redact("https://user:hunter22@host/x?token=abc") == "https://user:…@host/x?token=…"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("access_token=abcdef123&page=2", "access_token=…&page=2"),
        ("accessToken: abcdef123", "accessToken: …"),
        ("{'client_secret': 'abcdef123', 'id': 7}", "{'client_secret': '…', 'id': 7}"),
        ("aws_secret_access_key=abcdef123", "aws_secret_access_key=…"),
        ("aws_access_key_id=abcdef123", "aws_access_key_id=…"),
        ("X-Api-Key: abcdef123", "X-Api-Key: …"),
        ("Authorization: Bearer abcdef123", "Authorization: Bearer …"),
        ("Authorization: Basic YWJjOmRlZg==", "Authorization: Basic …"),
        ("Authorization: token abcdef123", "Authorization: token …"),
        ("postgresql://me@db/x?password=abcdef123", "postgresql://me@db/x?password=…"),
    ],
)
def test_what_is_named_a_secret_is_hidden_whoever_s_it_is(text: str, told: str) -> None:
    assert redact(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "unique_key=17, form_key: 18, partition_key = 2026-03-01",
        "tokens: 5, secretary: Anna, keys=3",
        "No token has been made: make one. The cron secret is needed: send it.",
    ],
)
def test_what_is_only_named_like_a_secret_stays_readable(text: str) -> None:
    assert redact(text) == text
