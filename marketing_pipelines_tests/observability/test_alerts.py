"""Alerts reach a real endpoint, each once, whoever sends and whoever dies."""

import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from marketing_pipelines import addresses
from marketing_pipelines.definitions import defs
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.observability import alerts as alerts_module
from marketing_pipelines.observability.alerts import LEASE, UI_VARIABLE, Recipients, deliver
from marketing_pipelines.runs.incidents import SubjectFailure, failed, recovered
from marketing_pipelines.runs.tables import alerts
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores import intents
from marketing_pipelines_tests import given_program
from marketing_pipelines_tests.observability.test_incidents import fails, succeeds
from marketing_pipelines_tests.probe import KEY, run_probe
from marketing_pipelines_tests.recording import Endpoint, endpoint
from marketing_pipelines_tests.waiting import until

SUBJECT = "analytics/event_aggregates"


@pytest.fixture
def receiver(engine: sa.Engine) -> Iterator[Endpoint]:
    with endpoint() as opened:
        yield opened


def url(receiver: Endpoint, path: str = "hook") -> str:
    return f"json://127.0.0.1:{receiver.port}/{path}"


def recipients(*urls: str, muted: bool = False) -> Recipients:
    return Recipients(
        addresses.read(",".join(urls)),
        owner_of=lambda subject: "team:analytics" if "analytics" in subject else None,
        is_muted=lambda _: muted,
    )


def send(engine: sa.Engine, to: Recipients, *, after: dt.timedelta = dt.timedelta()) -> int:
    return deliver(engine.begin, to, dt.datetime.now(dt.UTC) + after)


def record(engine: sa.Engine, *subjects: str) -> None:
    with engine.begin() as connection:
        failed(connection, [SubjectFailure(subject, "It broke.", "run-1") for subject in subjects])


def states(engine: sa.Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        rows = connection.execute(sa.select(alerts.c.kind, alerts.c.state).order_by(alerts.c.id))
        return [tuple(row) for row in rows]


def titles(receiver: Endpoint) -> list[str]:
    return [json.loads(body)["title"] for body in receiver.received]


def test_a_job_that_fails_ten_ticks_and_then_works_is_told_of_three_times(
    engine: sa.Engine, receiver: Endpoint
) -> None:
    """Two senders at once after every tick."""
    to = recipients(url(receiver))
    with ThreadPoolExecutor(2) as senders:
        for body in [fails] * 10 + [succeeds] * 2:
            run_probe(engine, body)
            for sent in [senders.submit(send, engine, to) for _ in range(2)]:
                sent.result(60)
    assert titles(receiver) == [
        f"{KEY} failed",
        f"{KEY} failed 3 times in a row",
        f"{KEY} has recovered",
    ]
    assert {state for _, state in states(engine)} == {"sent"}
    message = json.loads(receiver.received[0])
    assert message["type"] == "failure"
    assert "The file is broken: mend it." in message["message"]
    assert "docs/operations.md" in message["message"]
    assert json.loads(receiver.received[2])["type"] == "success"


SENDER = """
import datetime as dt, sys
from marketing_pipelines import addresses
from marketing_pipelines.observability.alerts import Recipients, deliver
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine, database_url
to = Recipients(addresses.read(sys.argv[1]), lambda _: None, lambda _: False)
deliver(create_engine(database_url(get_settings())).begin, to, dt.datetime.now(dt.UTC))
"""


@contextlib.contextmanager
def sender(address: str) -> Iterator["subprocess.Popen[str]"]:
    with given_program.start(SENDER, address) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.fault
def test_an_alert_whose_sender_is_killed_while_it_speaks_is_not_repeated(
    engine: sa.Engine, receiver: Endpoint
) -> None:
    record(engine, SUBJECT)
    receiver.answers.clear()
    with sender(url(receiver)) as process:
        until(lambda: receiver.received, what="the alert to arrive")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    receiver.answers.set()
    to = recipients(url(receiver))
    assert send(engine, to) == 0
    assert send(engine, to, after=LEASE + dt.timedelta(minutes=1)) == 0
    assert states(engine) == [("first", "unknown")]
    with engine.begin() as connection:
        recovered(connection, SUBJECT)
    assert send(engine, to) == 1
    assert titles(receiver) == [f"{SUBJECT} failed", f"{SUBJECT} has recovered"]


def test_an_alert_whose_sender_died_before_it_spoke_is_sent_by_another(
    engine: sa.Engine, receiver: Endpoint
) -> None:
    record(engine, SUBJECT)
    now = dt.datetime.now(dt.UTC)
    with engine.begin() as connection:
        assert len(intents.claim(connection, alerts, limit=1, lease=LEASE, now=now)) == 1
    to = recipients(url(receiver))
    assert send(engine, to) == 0
    assert send(engine, to, after=LEASE + dt.timedelta(seconds=1)) == 1
    assert len(receiver.received) == 1


def test_an_address_that_refuses_is_asked_again_and_the_others_are_not(
    engine: sa.Engine, receiver: Endpoint
) -> None:
    record(engine, SUBJECT)
    with endpoint() as broken:
        broken.status = 500
        to = recipients(url(receiver), url(broken))
        assert send(engine, to) == 0
        assert (len(receiver.received), len(broken.received)) == (1, 1)
        assert states(engine) == [("first", "queued")]
        broken.status = 200
        assert send(engine, to) == 0
        assert send(engine, to, after=dt.timedelta(minutes=2)) == 1
        assert (len(receiver.received), len(broken.received)) == (1, 2)
    assert states(engine) == [("first", "sent")]


def test_the_alerts_of_an_incident_arrive_in_order_although_one_is_refused(
    engine: sa.Engine, receiver: Endpoint
) -> None:
    record(engine, SUBJECT)
    to = recipients(url(receiver))
    receiver.status = 500
    assert send(engine, to) == 0
    receiver.status = 200
    with engine.begin() as connection:
        recovered(connection, SUBJECT)
    record(engine, "other/job")
    assert send(engine, to) == 1
    assert send(engine, to, after=dt.timedelta(minutes=2)) == 2
    assert titles(receiver) == [
        f"{SUBJECT} failed",
        "other/job failed",
        f"{SUBJECT} failed",
        f"{SUBJECT} has recovered",
    ]


def test_alerts_go_to_their_owner_and_to_addresses_without_one(
    engine: sa.Engine, receiver: Endpoint
) -> None:
    record(engine, SUBJECT, "other/job")
    with endpoint() as analytics, endpoint() as revenue:
        to = recipients(
            url(receiver),
            f"team:analytics={url(analytics)}",
            f"team:revenue={url(revenue)}",
        )
        assert send(engine, to) == 2
        assert sorted(titles(receiver)) == [f"{SUBJECT} failed", "other/job failed"]
        assert titles(analytics) == [f"{SUBJECT} failed"]
        assert titles(revenue) == []


def test_without_an_address_or_with_a_policy_that_is_silent_alerts_stay_rows(
    engine: sa.Engine, receiver: Endpoint
) -> None:
    record(engine, SUBJECT)
    assert send(engine, recipients()) == 0
    assert states(engine) == [("first", "unaddressed")]
    with engine.begin() as connection:
        recovered(connection, SUBJECT)
    assert send(engine, recipients(url(receiver), muted=True)) == 0
    assert states(engine) == [("first", "unaddressed"), ("recovery", "muted")]
    assert receiver.received == []


def test_the_sensor_delivers(
    engine: sa.Engine, receiver: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(engine, SUBJECT, "analytics/warehouse", "overdue analytics/warehouse")
    monkeypatch.setenv("MARKETING_ALERT_URLS", f"team:analytics={url(receiver)}")
    get_settings.cache_clear()
    get_settings().jobs_file.parent.mkdir(parents=True, exist_ok=True)
    get_settings().jobs_file.write_text('["analytics/warehouse"]\nalert = false\n')
    repository = defs.get_repository_def()
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(
            instance=instance, repository_def=repository, resources={"postgres": Postgres()}
        ) as context,
    ):
        result = repository.get_sensor_def("alerts_sensor").evaluate_tick(context)
    assert result.skip_message == "1 alerts were delivered."
    assert titles(receiver) == [f"{SUBJECT} failed"]
    assert sorted(states(engine)) == [("first", "muted")] * 2 + [("first", "sent")]


def test_addresses_are_read_with_their_owners_and_commas_inside() -> None:
    read = addresses.read(
        "json://host/a, team:analytics=mailto://user:p@ss@host?to=a@b.c,d@e.f ,slack://T/A/B"
    )
    assert [(a.owner, a.url) for a in read] == [
        (None, "json://host/a"),
        ("team:analytics", "mailto://user:p@ss@host?to=a@b.c,d@e.f"),
        (None, "slack://T/A/B"),
    ]
    assert addresses.read(None) == addresses.read("") == []


@pytest.mark.parametrize("text", ["hook", "analytics=json://topsecret/b"])
def test_what_is_no_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        addresses.require_usable(addresses.read(text))
    assert "MARKETING_ALERT_URLS" in str(refused.value)
    assert "topsecret" not in str(refused.value)


def test_a_kind_that_apprise_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"address 2 \(carrier-pigeon://…\)"):
        addresses.require_usable(addresses.read("json://host/a,carrier-pigeon://tower/7"))


@pytest.mark.parametrize(
    ("subject", "kind", "failures", "title", "sentence"),
    [
        ("a/b", "first", 1, "a/b failed", "It broke."),
        ("a/b", "third", 3, "a/b failed 3 times in a row", "It broke."),
        ("a/b", "recovery", 1, "a/b has recovered", "It failed once since {since}."),
        ("a/b", "recovery", 4, "a/b has recovered", "It failed 4 times since {since}."),
        ("overdue a/b", "first", 1, "a/b is overdue", "It broke."),
        ("overdue a/b", "recovery", 7, "a/b is on time again", "Since {since}."),
        ("dead-letters x 10+", "first", 1, "x 10+ has dead letters", "It broke."),
    ],
)
def test_an_alert_says_what_happened_in_plain_words(
    subject: str, kind: str, failures: int, title: str, sentence: str
) -> None:
    opened = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    told = SimpleNamespace(
        subject=subject, item="", failures=failures, opened_at=opened, error="It broke.", run_id="r"
    )
    assert alerts_module.title(kind, told) == title
    first_line = alerts_module.body(kind, told).splitlines()[0]
    assert first_line == sentence.format(since="2026-03-01 12:00 UTC")


@pytest.mark.parametrize(
    ("variables", "latest"),
    [
        ({}, "r-1"),
        ({UI_VARIABLE: "http://127.0.0.1:3000"}, "http://127.0.0.1:3000/runs/r-1"),
        (
            {UI_VARIABLE: "http://127.0.0.1:3000", "MARKETING_UI_URL": "https://ui.example.org/"},
            "https://ui.example.org/runs/r-1",
        ),
    ],
)
def test_an_alert_leads_to_the_run_where_the_address_of_the_ui_is_known(
    engine: sa.Engine,
    receiver: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    latest: str,
) -> None:
    monkeypatch.delenv(UI_VARIABLE, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    with engine.begin() as connection:
        failed(connection, [SubjectFailure(SUBJECT, "It broke.", "r-1")])
    assert send(engine, recipients(url(receiver))) == 1
    assert f"Latest run: {latest}." in json.loads(receiver.received[0])["message"]
