"""Grants: one refresh at a time, the newest refresh token kept, an owner notified once."""

import datetime as dt
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines.domains.integrations import connections, credentials, grants, vault
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.grants import (
    GrantFailingError,
    GrantWaitsError,
    access_token,
)
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing.tasks import system_clock
from marketing_pipelines.secret_keys import signing_keys
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines_tests.cli.console import call_here, refusal_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.service import BROKEN, REFUSED, Asked, Said, Service
from marketing_pipelines_tests.integrations.token_server import (
    CLIENT,
    Provider,
    kept,
    made,
    secrets,
)
from marketing_pipelines_tests.integrations.world import Connected, everything_in

NOW = dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
ENCODED = "YXBwOnMzY3JldC1vZi10aGUtYXBwbGljYXRpb24="
MINUTE, HOUR = dt.timedelta(minutes=1), dt.timedelta(hours=1)


@pytest.fixture
def world(shared_installation: Installation) -> Connected:
    world = Connected(shared_installation)
    world.execute("delete from crm.notifications")
    return world


@pytest.fixture
def provider(outside: Service) -> Provider:
    return Provider(outside)


def token(grant: Connection, at: dt.datetime = NOW, **options: Any) -> str:
    return access_token(get_settings(), grant, clock=lambda: at, **options)


def test_a_token_is_used_until_two_minutes_before_its_end_and_then_refreshed(
    world: Connected, provider: Provider
) -> None:
    grant = made(world, provider)
    assert token(grant) == "access-1-bbbbbbbb"
    assert token(grant, NOW + HOUR - 2 * MINUTE - dt.timedelta(seconds=1)) == "access-1-bbbbbbbb"
    assert token(grant, NOW + HOUR - 2 * MINUTE) == "access-2-bbbbbbbb"
    assert [asked.body for asked in provider.outside.asked] == [
        {"grant_type": "refresh_token", "refresh_token": f"refresh-{n}-aaaaaaaa",
         "client_id": "app", "client_secret": CLIENT}
        for n in (0, 1)
    ]  # fmt: skip
    assert secrets(world) == {
        "client_secret": CLIENT,
        "refresh_token": "refresh-2-aaaaaaaa",
        "access_token": "access-2-bbbbbbbb",
    }


def test_a_refused_token_is_refreshed_once_more_unless_another_did(
    world: Connected, provider: Provider
) -> None:
    grant = made(world, provider)
    first = token(grant)
    second = token(grant, refused=first)
    assert (first, second) == ("access-1-bbbbbbbb", "access-2-bbbbbbbb")
    assert token(grant, refused=first) == second
    assert provider.given == 2


def test_many_at_once_make_one_call(world: Connected, provider: Provider) -> None:
    grant = made(world, provider)
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: token(grant), range(8)))
    assert tokens == {"access-1-bbbbbbbb"}
    assert len(provider.outside.asked) == 1


def test_the_second_refusal_ten_minutes_later_makes_the_grant_wait(
    world: Connected, provider: Provider
) -> None:
    world.execute("delete from crm.users")
    world.execute("insert into crm.users (organization_id, external_id, role)"
                  " select id, login, role from crm.organizations,"
                  " (values ('ann', 'rep'), ('bob', 'admin')) as given (login, role)"
                  " where external_id = 'acme'")  # fmt: skip
    grant = made(world, provider, owner="ann", refresh_token="of-another-time-1")
    for at in (NOW, NOW + MINUTE, NOW + 10 * MINUTE - dt.timedelta(seconds=1)):
        with pytest.raises(GrantFailingError, match=r"google-ann of acme got no token \[invalid_g"):
            token(grant, at)
        assert world.state("oauth")[0][1] == "failing"
    assert world.rows("select from crm.notifications") == []
    with pytest.raises(GrantFailingError, match="is not tried again before 09:10:59 UTC"):
        token(grant, NOW + 10 * MINUTE)
    for minutes in (11, 12, 60):
        with pytest.raises(GrantWaitsError, match="waits for a person"):
            token(grant, NOW + minutes * MINUTE)
    assert len(provider.outside.asked) == 4
    assert world.rows(
        "select external_id, kind, title from crm.notifications"
        " join crm.users on users.id = user_id"
    ) == [("ann", "grant_reconnect", "Access google-ann has ended")]
    assert world.rows("select subject, kind from ops.alerts join ops.incidents"
                      " on incidents.id = incident_id") == [
        ("connection oauth google-ann of acme", "first")]  # fmt: skip
    # The person signs in again.
    made(world, provider, owner="ann", refresh_token=provider.valid)
    assert token(grant, NOW + 2 * HOUR) == "access-1-bbbbbbbb"


def test_a_provider_that_is_down_is_asked_once_a_minute(
    world: Connected, provider: Provider
) -> None:
    grant = made(world, provider)
    provider.outside.misbehave(BROKEN)
    with pytest.raises(GrantFailingError, match="answers 500"):
        token(grant)
    with pytest.raises(GrantFailingError, match="not tried again before 09:01:00"):
        token(grant, NOW + dt.timedelta(seconds=59))
    assert world.state("oauth")[0][1] == "failing"
    assert token(grant, NOW + MINUTE) == "access-1-bbbbbbbb"
    assert world.state("oauth") == [("acme", "ok", None)]


def test_a_client_that_the_provider_does_not_know_alerts_the_operator(
    world: Connected, provider: Provider
) -> None:
    grant = made(world, provider, auth="basic", client_id="a b")
    provider.outside.misbehave(*[Said({"error": "invalid_client"}, status=401)] * 2)
    for minutes in (0, 1):
        with pytest.raises(GrantFailingError, match=r"\[invalid_client\]"):
            token(grant, NOW + minutes * MINUTE)
    subject = f"oauth client a b of {provider.outside.url}/token"
    alerts = "select subject, alerts.kind from ops.alerts join ops.incidents" \
             " on incidents.id = incident_id order by alerts.id"  # fmt: skip
    assert world.rows(alerts) == [(subject, "first")]
    assert world.rows("select from crm.notifications") == []
    token(grant, NOW + 2 * MINUTE)
    assert world.rows(alerts) == [(subject, "first"), (subject, "recovery")]
    assert provider.outside.asked[0].headers["Authorization"] == (
        "Basic YStiOnMzY3JldC1vZi10aGUtYXBwbGljYXRpb24="
    )


@pytest.mark.parametrize(
    ("more", "ends_at", "refresh_ends_at"),
    [
        ({}, NOW + HOUR, None),
        ({"expires_in": "600", "refresh_token_expires_in": 86400}, NOW + 10 * MINUTE,
         NOW + 24 * HOUR),
        ({"expires_in": "soon", "refresh_expires_in": 0}, NOW + HOUR, None),
        ({"expires_in": 1e300}, NOW + dt.timedelta(days=3650), None),
    ],
)  # fmt: skip
def test_ends_of_tokens_are_stored(
    world: Connected, provider: Provider, more: dict[str, Any], ends_at: dt.datetime,
    refresh_ends_at: dt.datetime | None,
) -> None:  # fmt: skip
    provider.more = more
    token(made(world, provider))
    assert world.rows("select expires_at, refresh_expires_at from integrations.connections") == [
        (ends_at, refresh_ends_at)
    ]


def test_a_new_refresh_token_is_kept_even_if_the_access_token_is_missing(
    world: Connected, provider: Provider
) -> None:
    grant = made(world, provider)
    provider.outside.misbehave(Said({"refresh_token": "the-newest-refresh-token"}))
    with pytest.raises(GrantFailingError, match="answers without an access token"):
        token(grant)
    assert kept(world) == "the-newest-refresh-token"


def test_an_answer_is_stored_though_the_connection_of_the_lock_is_lost(
    world: Connected, provider: Provider
) -> None:
    grant = made(world, provider)
    lost = []

    def answer(asked: Asked) -> Said:
        lost.extend(world.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and state = 'idle in transaction'"
        ))  # fmt: skip
        return provider.answer(asked)

    provider.outside.answer = answer
    assert token(grant) == "access-1-bbbbbbbb"
    assert lost
    assert len(provider.outside.asked) == 1
    assert kept(world) == provider.valid == "refresh-1-aaaaaaaa"


def test_a_key_that_is_rotated_during_a_refresh_encrypts_the_new_tokens(
    world: Connected, provider: Provider
) -> None:
    grant = made(world, provider)
    present = get_settings()
    new = Settings(secret_key="a-new-key-of-32-characters-cccccc",
                   old_secret_keys=signing_keys(present)[-1])  # fmt: skip
    rotated = []

    def rotate() -> None:
        with world.installation.engine.begin() as connection:
            rotated.append(connections.rotate(connection, new, grant))

    thread = threading.Thread(target=rotate)

    def answer(asked: Asked) -> Said:
        thread.start()
        thread.join(0.3)
        assert thread.is_alive(), "the rotation waits for the lock"
        return provider.answer(asked)

    provider.outside.answer = answer
    assert token(grant) == "access-1-bbbbbbbb"
    thread.join()
    assert rotated == [True]
    [(sealed,)] = world.rows("select secrets from integrations.connections")
    alone = Settings(secret_key="a-new-key-of-32-characters-cccccc")
    assert provider.valid in vault.decrypt(alone, sealed, "it").values()


def test_a_refresh_token_that_was_replaced_is_not_taken_back_by_setting_the_file_again(
    world: Connected, provider: Provider
) -> None:
    first = provider.valid
    token(made(world, provider))
    again = made(world, provider, refresh_token=first, scopes=["mail"])
    assert kept(world) == provider.valid
    assert token(again, NOW + MINUTE) == "access-2-bbbbbbbb"
    assert provider.outside.asked[-1].body["scope"] == "mail"
    made(world, provider, refresh_token="another-one-of-a-person")
    assert kept(world) == "another-one-of-a-person"


def test_an_owner_that_the_organization_does_not_have_is_refused(
    world: Connected, provider: Provider
) -> None:
    with pytest.raises(BadInputError, match="owner: the organization has no user 'nobody'"):
        made(world, provider, owner="nobody")


def test_a_removed_grant_says_so(world: Connected, provider: Provider) -> None:
    grant = made(world, provider)
    with world.installation.engine.begin() as connection:
        connections.remove(connection, grant)
        with pytest.raises(BadInputError, match="has no connection oauth google-ann"):
            grants.grant_of(connection, grant.organization_id, "google-ann")
    with pytest.raises(BadInputError, match="oauth google-ann of acme was removed"):
        token(grant)


def test_tokens_stand_nowhere_in_rows_logs_and_errors(
    world: Connected, provider: Provider, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    grant = made(world, provider, refresh_token="refresh-of+a/person=1", auth="basic")
    told = ""
    for status, said in (
        (500, {"message": f"refresh-of+a/person=1 and {ENCODED}"}),
        (
            400,
            {
                "error": "invalid_grant",
                "error_description": f"{CLIENT} refresh-of%2Ba%2Fperson%3D1",
            },
        ),
        (200, {"refresh_token": "refresh-that-is-new", "error": "refresh-that-is-new"}),
        (429, {"error": "refresh-that-is-new"}),
        (401, {"error": "invalid_client", "error_description": CLIENT}),
    ):
        provider.outside.misbehave(Said(said, status=status))
        with pytest.raises(GrantFailingError) as failed:
            grants.refresh(get_settings(), grant, since=system_clock(), by_hand=True)
        told += str(failed.value)
    provider.valid = "refresh-that-is-new"
    grants.refresh(get_settings(), grant, since=system_clock(), by_hand=True)
    hidden = {*secrets(world).values(), CLIENT, ENCODED, "refresh-of", "refresh-that-is-new"}
    provider.outside.misbehave(REFUSED)
    world.run(partial(credentials.refresh_due, clock=lambda: NOW + 48 * HOUR), NOW + 48 * HOUR)
    printed = capfd.readouterr()
    with world.installation.engine.connect() as connection:
        told += everything_in(connection) + caplog.text + printed.out + printed.err
    for run in world.installation.instance.get_runs():
        told += "".join(map(str, world.installation.instance.all_logs(run.run_id)))
    assert "google-ann of acme got no token" in told
    for secret in hidden:
        assert secret not in told, secret


def test_commands_set_test_list_and_retry_a_grant(
    world: Connected, provider: Provider, tmp_path: Path
) -> None:
    file = tmp_path / "grant.json"
    file.write_text(json.dumps({
        "name": "google-ann", "token_url": f"{provider.outside.url}/token", "client_id": "app",
        "refresh_token": provider.valid,
    }))  # fmt: skip
    asked = ("oauth", "--organization", "acme")
    made = call_here("connection", "set", *asked, "--file", str(file)).stdout
    assert made == "The connection oauth google-ann of acme is set.\n"
    tested = call_here("connection", "test", *asked).stdout
    assert tested.startswith(
        "The connection oauth google-ann of acme works: its access token lasts until 20"
    )
    world.execute("update integrations.connections set state = 'reconnect', refused_at = now()")
    assert " reconnect  tokens " in call_here("connection", "list", "oauth").stdout
    call_here("connection", "retry", *asked)
    assert world.rows("select state, refused_at from integrations.connections") == [("ok", None)]
    world.execute("update integrations.connections set state = 'reconnect'")
    call_here("connection", "test", *asked)
    assert world.state("oauth") == [("acme", "ok", None)]
    assert kept(world) == provider.valid == "refresh-2-aaaaaaaa"


def test_a_connection_of_an_unknown_key_stops_no_other_from_being_rotated(
    world: Connected, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ann", "bob", "cleo"):
        made(world, provider, name=name)
    old = Settings(secret_key="a-former-key-of-32-characters-ddd")
    known = vault.encrypt(old, {"refresh_token": "r"})
    lost = vault.encrypt(Settings(secret_key="a-lost-key-of-32-characters-eeeeee"), {"a": "b"})
    for name, sealed in (("bob", lost), ("cleo", known)):
        world.execute("update integrations.connections set secrets = :sealed"
                      " where external_id = :name", sealed=sealed, name=name)  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARKETING_OLD_SECRET_KEYS", "a-former-key-of-32-characters-ddd")
        get_settings.cache_clear()
        said = refusal_here(capsys, "connection", "rotate")
    get_settings.cache_clear()
    assert said.startswith("The secrets of oauth bob of acme were encrypted with another")
    [(sealed,)] = world.rows("select secrets from integrations.connections"
                             " where external_id = 'cleo'")  # fmt: skip
    assert vault.decrypt(get_settings(), sealed, "it") == {"refresh_token": "r"}
