"""The nightly refresh of grants, and the waiting of connections for people."""

import datetime as dt
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from marketing_pipelines.domains.integrations import (
    connections,
    contact_enrichment,
    credentials,
    leadsquared,
    web_urls,
)
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.grants import GrantWaitsError, access_token
from marketing_pipelines.domains.integrations.providers import CONTENT_SERVICE
from marketing_pipelines.domains.integrations.syncs import Synced, SyncReport, sync_each
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.service import BROKEN, Said, Service
from marketing_pipelines_tests.integrations.world import NIGHT, Connected
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

DAY, HOUR, SECOND = dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(seconds=1)
TOKENS = "select external_id, syncs.last_ok_at from integrations.syncs" \
         " join integrations.connections on id = connection_id order by 1"  # fmt: skip
NOTIFIED = "select kind, title from crm.notifications order by id"


@pytest.fixture
def world(shared_installation: Installation) -> Connected:
    world = Connected(shared_installation)
    world.execute("delete from crm.notifications")
    world.execute("insert into crm.users (organization_id, external_id, role) select id, 'root',"
                  " 'admin' from crm.organizations on conflict do nothing")  # fmt: skip
    return world


@pytest.fixture
def provider(outside: Service) -> Service:
    """A token endpoint that knows the refresh tokens that begin with `good`."""
    outside.answer = lambda asked: (
        Said({"access_token": f"access-for-{asked.body['refresh_token']}"})
        if asked.body["refresh_token"].startswith("good")
        else Said({"error": "invalid_grant"}, status=400)
    )
    return outside


def made(world: Connected, provider: Service, name: str, token: str | None = None) -> Connection:
    url = f"{provider.url}/token"
    token = token or f"good-token-of-{name}"
    return world.connect("oauth", name=name, token_url=url, client_id="app", refresh_token=token)


def nightly(world: Connected, at: dt.datetime = NIGHT) -> dict[str, Any]:
    """The job at a tick whose run begins a second later."""
    return world.run(partial(credentials.refresh_due, clock=lambda: at + SECOND), at)


def test_grants_that_were_never_refreshed_are_refreshed_once_a_tick(
    world: Connected, provider: Service
) -> None:
    for name in ("ann", "bob"):
        made(world, provider, name)
    seen = nightly(world)
    assert (seen["succeeded"], seen["ok"], seen["rows"]) == (True, 2, 2)
    assert world.rows(TOKENS) == [("ann", NIGHT + SECOND), ("bob", NIGHT + SECOND)]
    assert nightly(world)["rows"] == 0
    assert nightly(world, NIGHT + 23 * HOUR)["rows"] == 0


def test_each_night_refreshes_though_the_last_one_did_seconds_after_its_tick(
    world: Connected, provider: Service
) -> None:
    made(world, provider, "ann")
    for night in range(3):
        assert nightly(world, NIGHT + night * DAY)["rows"] == 1
        assert world.rows(TOKENS) == [("ann", NIGHT + night * DAY + SECOND)]


def test_an_end_within_warn_days_is_refreshed_and_a_fixed_one_is_announced_once(
    world: Connected, provider: Service
) -> None:
    made(world, provider, "ann")
    nightly(world)
    for days, rows in ((8, 0), (6, 1)):
        world.execute("update integrations.connections set refresh_expires_at = :end",
                      end=NIGHT + SECOND + days * DAY)  # fmt: skip
        assert nightly(world, NIGHT + 2 * SECOND)["rows"] == rows
    again = nightly(world, NIGHT + 2 * SECOND)
    assert again["rows"] == 0, "a tick refreshes once"
    assert nightly(world, NIGHT + 4 * SECOND)["rows"] == 1
    assert world.rows(NOTIFIED) == [("grant_ends", "Access ann ends on 2026-03-07")]


def test_an_end_that_a_refresh_moves_is_not_announced(world: Connected, provider: Service) -> None:
    made(world, provider, "ann")
    provider.answer = lambda asked: Said({"access_token": "a", "refresh_expires_in": 86_400})
    for night in range(3):
        assert nightly(world, NIGHT + night * DAY)["rows"] == 1
    assert world.rows(NOTIFIED) == []


def test_a_grant_that_is_refused_on_two_nights_waits_and_stops_no_other(
    world: Connected, provider: Service
) -> None:
    made(world, provider, "ann")
    made(world, provider, "bob", "bad-token-of-bob")
    first, second, third = (nightly(world, NIGHT + n * DAY) for n in range(3))
    counts = ("succeeded", "ok", "failed", "waiting")
    assert [first[c] for c in counts] == [True, 1, 1, 0]
    assert [second[c] for c in counts] == [True, 1, 0, 1]
    assert [third[c] for c in counts] == [True, 1, 0, 1]
    assert "1 connections oauth wait for a person" in third["note"]
    assert world.rows(NOTIFIED) == [("grant_reconnect", "Access bob has ended")]
    assert world.rows("select kind from ops.alerts") == [("first",)]
    assert [asked.body["refresh_token"] for asked in provider.asked].count("bad-token-of-bob") == 2


def test_a_grant_that_a_mailbox_refreshed_meanwhile_fails_no_more(
    world: Connected, provider: Service
) -> None:
    made(world, provider, "ann")
    bob = made(world, provider, "bob")
    provider.misbehave(BROKEN, BROKEN)
    assert nightly(world)["failed"] == 2
    access_token(get_settings(), bob, clock=lambda: NIGHT + 12 * HOUR)
    provider.misbehave(BROKEN)
    nightly(world, NIGHT + DAY)
    assert world.rows("select item, consecutive from ops.item_failures") == [
        ("oauth ann of acme", 2)
    ]


def test_a_provider_that_does_not_answer_is_left_alone_after_a_few_calls(
    world: Connected, provider: Service
) -> None:
    for number in range(30):
        made(world, provider, f"g{number}")
    provider.misbehave(*[BROKEN] * 30)
    seen = nightly(world)
    assert len(provider.asked) < 12
    assert seen["failed"] == len(provider.asked)
    assert seen["waiting"] == 30 - len(provider.asked)
    assert "wait for the next run" in seen["note"]


def test_a_grant_that_a_mailbox_refreshed_since_the_last_night_is_left_alone(
    world: Connected, provider: Service
) -> None:
    ann = made(world, provider, "ann")
    access_token(get_settings(), ann, clock=lambda: NIGHT - 12 * HOUR)
    assert nightly(world)["rows"] == 0


def test_without_a_grant_the_job_says_so(world: Connected) -> None:
    seen = nightly(world)
    assert (seen["succeeded"], seen["waiting"]) == (True, 0)
    assert seen["note"].startswith("No organization has a connection oauth")


@pytest.mark.parametrize(
    ("name", "fields", "job"),
    [
        ("enrichment", {"api_key": "k"}, contact_enrichment.enrich),
        ("content_service", {"url": "https://x.example"}, web_urls.fetch),
        ("leadsquared", {"url": "https://x.example", "access_key": "a", "secret_key": "b"},
         leadsquared.pull),
        ("oauth", {"name": "ann", "token_url": "https://x.example", "client_id": "c",
                   "refresh_token": "r"}, credentials.refresh_due),
    ],
)  # fmt: skip
def test_a_run_that_has_only_waiting_connections_succeeds_and_says_so(
    world: Connected, name: str, fields: dict[str, Any], job: Any
) -> None:
    world.connect(name, **fields)
    world.execute("update integrations.connections set state = 'reconnect'")
    seen = world.run(job)
    assert (seen["succeeded"], seen["ok"], seen["failed"], seen["waiting"]) == (True, 0, 0, 1)
    assert f"1 connections {name} wait for" in seen["note"]
    assert world.rows("select from ops.alerts") == []


def test_a_connection_whose_grant_waits_waits_with_it_and_alerts_nobody(world: Connected) -> None:
    world.connect("content_service", url="https://x.example")

    def read(synced: Synced) -> SyncReport:
        raise GrantWaitsError("The grant oauth ann of acme waits for a person.")

    def job(tick: Tick) -> None:
        sync_each(tick, CONTENT_SERVICE, "destinations", read)

    for _ in range(4):
        seen = world.run(job)
        assert (seen["succeeded"], seen["failed"], seen["waiting"]) == (True, 0, 1)
    assert "1 connections content_service wait for the grant" in seen["note"]
    assert world.state("content_service") == [("acme", "ok", None)]
    assert world.rows("select error from integrations.syncs") == [
        ("The grant oauth ann of acme waits for a person.",)
    ]
    assert world.rows("select from ops.alerts") == []


def test_a_connection_that_a_person_changes_while_its_standing_is_noted_fails_no_other(
    world: Connected,
) -> None:
    for organization in ("acme", "umbra"):
        world.connect("content_service", organization, url="https://x.example")
    engine = world.installation.engine
    changed: list[Future[None]] = []

    def change(own: Connection, taken: threading.Event) -> None:
        """Sets the connection; commits when the run waits for its row."""
        with engine.begin() as connection:
            connections.set_connection(connection, get_settings(), own.organization_id,
                                       CONTENT_SERVICE, {"token": "t"}, NIGHT)  # fmt: skip
            taken.set()
            until(lambda: waits_for_a_lock(engine), seconds=30, what="the standing")

    with ThreadPoolExecutor(1) as pool:

        def read(synced: Synced) -> SyncReport:
            if not changed:
                taken = threading.Event()
                changed.append(pool.submit(change, synced.connection, taken))
                assert taken.wait(30)
            return SyncReport(rows=1)

        def job(tick: Tick) -> None:
            sync_each(tick, CONTENT_SERVICE, "destinations", read)

        seen = world.run(job)
    changed[0].result()
    assert (seen["succeeded"], seen["ok"], seen["failed"], seen["rows"]) == (True, 2, 0, 2)
    assert world.rows("select last_ok_at from integrations.syncs") == [(NIGHT,), (NIGHT,)]
