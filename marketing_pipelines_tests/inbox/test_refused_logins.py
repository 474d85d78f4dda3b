"""Mailboxes that cannot be read: they stop no other, alert once, and wait for a person."""

import datetime as dt
from typing import Any

import pytest

from marketing_pipelines.domains.inbox import session as sessions
from marketing_pipelines.domains.inbox import synchronizing
from marketing_pipelines.domains.integrations import connections
from marketing_pipelines.domains.integrations.providers import IMAP
from marketing_pipelines.domains.integrations.syncs import Pacing
from marketing_pipelines.failures import BadInputError
from marketing_pipelines_tests.inbox.imap_server import imap_server
from marketing_pipelines_tests.inbox.world import FIVE_MINUTES, TICK, Mailboxes, mail
from marketing_pipelines_tests.integrations.service import Said, service


def alerts(world: Mailboxes) -> list[tuple[Any, ...]]:
    return world.rows(
        "select subject, kind from ops.alerts join ops.incidents on incidents.id = incident_id"
        " order by alerts.id"
    )


def test_a_wrong_password_stops_no_other_alerts_once_and_waits_for_a_change(
    world: Mailboxes,
) -> None:
    world.connect_anna(password="wrong-7c1")
    world.server.passwords["bob@acme.example"] = "s3cret"
    world.connect_anna(address="bob@acme.example")
    world.receive(mail(1))
    done = world.sync()
    assert (done["ok"], done["failed"], done["succeeded"]) == (1, 1, True)
    assert world.subjects() == ["Mail 1"]
    assert world.server.logins == 2
    assert {(state, error) for _, state, error in world.state("imap")} == {
        ("ok", None),
        ("reconnect", f"127.0.0.1:{world.server.port} refuses the login of anna@acme.example:"
                      " [AUTHENTICATIONFAILED] wrong login."),
    }  # fmt: skip
    for number in range(1, 4):
        done = world.sync(TICK + number * FIVE_MINUTES)
        assert (done["ok"], done["failed"], done["waiting"]) == (1, 0, 1)
    assert world.server.logins == 5
    assert alerts(world) == [("connection imap anna@acme.example of acme", "first")]
    world.connect_anna(password="s3cret")
    done = world.sync(TICK + 4 * FIVE_MINUTES)
    assert (done["ok"], done["failed"], done["waiting"]) == (2, 0, 0)


def test_a_retry_tries_a_refused_mailbox_again(world: Mailboxes) -> None:
    world.server.refusal = "NO [AUTHORIZATIONFAILED] closed"
    world.connect_anna()
    world.sync()
    world.server.refusal = None
    assert world.sync(TICK + FIVE_MINUTES)["waiting"] == 1
    with world.installation.engine.begin() as connection:
        [found] = connections.all_of(connection, IMAP)
        connections.retry(connection, found, TICK)
    assert world.sync(TICK + 2 * FIVE_MINUTES)["ok"] == 1


@pytest.mark.parametrize("code", ["UNAVAILABLE", "LIMIT", "INUSE"])
def test_a_server_that_is_busy_is_tried_at_the_next_tick(world: Mailboxes, code: str) -> None:
    world.receive(mail(1))
    world.connect_anna()
    world.server.refusal = f"NO [{code}] later"
    done = world.sync()
    assert (done["failed"], world.server.logins) == (1, 1)
    assert [state for _, state, _ in world.state("imap")] == ["failing"]
    world.server.refusal = None
    assert world.sync(TICK + FIVE_MINUTES)["rows"] == 1
    assert [state for _, state, _ in world.state("imap")] == ["ok"]
    assert [subject for subject, _ in alerts(world) if "imap" in subject] == []


def test_a_refusal_without_a_code_waits_for_a_person_at_the_second_one_ten_minutes_later(
    world: Mailboxes,
) -> None:
    def state_after(at: dt.datetime, refusal: str | None = "NO LOGIN failed.") -> str:
        world.server.refusal = refusal
        pacing = Pacing(clock=lambda: at)
        world.run(lambda tick: synchronizing.synchronize(tick, pacing), at)
        [(_, state, _)] = world.state("imap")
        return str(state)

    world.connect_anna()
    assert state_after(TICK) == "failing"
    logins = world.server.logins
    assert state_after(TICK + FIVE_MINUTES) == "failing"
    assert world.server.logins == logins
    assert state_after(TICK + 3 * FIVE_MINUTES, None) == "ok"
    assert state_after(TICK + 4 * FIVE_MINUTES) == "failing"
    assert [subject for subject, _ in alerts(world) if "imap" in subject] == []
    assert state_after(TICK + 6 * FIVE_MINUTES) == "reconnect"
    assert [subject for subject, _ in alerts(world) if "imap" in subject] != []


def test_mailboxes_of_a_server_that_is_down_come_after_those_not_tried_for_longer(
    world: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "TIMEOUT", 0.1)
    with imap_server() as down:
        down.silent = True
        world.connect_anna(address="down@acme.example", port=down.port)
        world.sync()
        world.connect_anna()
        world.receive(mail(1))
        done = world.sync(TICK + FIVE_MINUTES)
        assert (done["ok"], done["failed"]) == (1, 1)
    assert world.rows(
        "select connection.external_id, sync.tried_at from integrations.syncs as sync"
        " join integrations.connections as connection on connection.id = connection_id"
        " order by 1"
    ) == [("anna@acme.example", TICK + FIVE_MINUTES), ("down@acme.example", TICK + FIVE_MINUTES)]


def test_a_grant_logs_in_and_one_that_waits_for_a_person_makes_the_mailbox_wait(
    world: Mailboxes,
) -> None:
    world.receive(mail(1))
    world.server.tokens = {"second"}
    with service() as provider:
        answers = iter(["first", "second"])
        provider.answer = lambda asked: Said({"access_token": next(answers), "expires_in": 3600})
        world.connect("oauth", name="google", token_url=f"{provider.url}/token",
                      client_id="app", refresh_token="r3fresh")  # fmt: skip
        world.connect_anna(password=None, grant="google")
        assert world.sync()["rows"] == 1
        assert len(provider.asked) == 2
    world.execute("update integrations.connections set state = 'reconnect', expires_at = :past"
                  " where provider = 'oauth'", past=TICK - dt.timedelta(days=900))  # fmt: skip
    done = world.sync(TICK + FIVE_MINUTES)
    assert (done["ok"], done["failed"], done["waiting"], done["succeeded"]) == (0, 0, 1, True)
    [(error,)] = world.rows("select error from integrations.syncs where what = 'mail'")
    assert error.startswith("The grant oauth google of acme waits for a person")


def test_an_unknown_owner_or_grant_is_named(world: Mailboxes) -> None:
    with pytest.raises(BadInputError, match="owner: the organization has no user 'nobody'"):
        world.connect_anna(owner="nobody")
    world.connect_anna(password=None, grant="google")
    assert world.sync()["failed"] == 1
    assert [error for _, _, error in world.state("imap")] == [
        "The organization has no connection oauth google: make one with `marketing-pipelines"
        " connection set oauth`."
    ]
