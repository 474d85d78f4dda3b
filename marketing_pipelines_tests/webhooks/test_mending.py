"""An endpoint that fails, is disabled, mended and replayed: by commands alone."""

import datetime as dt

import pytest
from standardwebhooks import Webhook

from marketing_pipelines.domains.webhooks import endpoints, replaying
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.secret_keys import secret_key
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.webhooks.world import Receiver, WebhookWorld


def said(*arguments: str) -> str:
    done = call_here("webhook", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_an_endpoint_is_added_fails_is_disabled_mended_and_replayed_by_commands(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    hooked.installation.execute(
        "insert into crm.users (organization_id, external_id, email, role)"
        f" values ({hooked.organization}, 'ann', 'ann@example.org', 'admin')"
    )
    added = said("add", receiver.url, "--organization", hooked.name, "--type", "*.stage_changed")
    number = added.split()[1]
    assert "whsec_" in added
    assert said("test", number) == f"endpoint {number} answers 200\n"
    assert receiver.requests[0].json["type"] == "webhook.test"
    receiver.answer(410)
    hooked.now = dt.datetime.now(dt.UTC)
    [first] = hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    assert "disabled" in said("list", "--organization", hooked.name)
    assert first in said("deliveries", number, "--state", "failed")
    assert hooked.installation.rows("select kind, title from crm.notifications") == [
        ("webhook_disabled", "Webhooks to 127.0.0.1 have stopped")
    ]
    assert hooked.installation.rows("select kind from ops.alerts") == [("first",)]
    since = (hooked.now - dt.timedelta(hours=1)).isoformat()
    refused = call_here("webhook", "replay", number, "--since", since)
    assert "is disabled: enable it before" in refused.stderr
    [second] = hooked.publish(hooked.moved(hooked.contact("bob")))
    hooked.work()
    receiver.answer(200)
    assert said("enable", number) == f"endpoint {number} is active\n"
    assert said("replay", number, "--since", since) == (
        f"endpoint {number}: 1 missing deliveries, 1 made again\n"
    )
    hooked.now = dt.datetime.now(dt.UTC)
    hooked.work()
    assert sorted(receiver.event_ids[-2:]) == sorted([first, second])
    assert said("replay", number, "--since", since, "--all").endswith(
        ": 0 missing deliveries, 2 made again\n"
    )
    hooked.now = dt.datetime.now(dt.UTC)
    hooked.work()
    assert sorted(receiver.event_ids[-2:]) == sorted([first, second])
    assert hooked.installation.rows("select count(*) from crm.notifications") == [(1,)]
    assert hooked.installation.rows("select kind from ops.alerts order by id") == [
        ("first",),
        ("recovery",),
    ]
    secret = said("rotate", number).splitlines()[1]
    assert secret.startswith("whsec_")
    assert secret not in added
    assert said("disable", number) == f"endpoint {number} is disabled\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("add", "http://192.0.2.1/"), "does not begin with https://"),
        (("add", "https://user:word@example.org/"), "has a user name or a password"),
        (("add", "https://example.org:22/"), "names port 22"),
        (("add", "https://example.org/", "--type", "deal won"), "is no pattern of types"),
        (("add", "https://example.org/", "--organization", "nobody"), "There is no organization"),
        (("rotate", "77"), "There is no webhook endpoint 77."),
        (("deliveries", "77"), "There is no webhook endpoint 77."),
        (("test", "77"), "There is no webhook endpoint 77."),
        (("replay", "77", "--since", "yesterday"), "is no instant with a zone"),
    ],
)
def test_bad_input_gets_one_sentence_and_writes_nothing(
    hooked: WebhookWorld, arguments: tuple[str, ...], problem: str
) -> None:
    done = call_here("webhook", *arguments)
    assert done.returncode != 0
    assert problem in done.stderr
    assert hooked.installation.rows("select count(*) from webhooks.endpoints") == [(0,)]


def test_a_pattern_of_an_unknown_type_is_a_note_with_the_known_ones(hooked: WebhookWorld) -> None:
    told = said("add", "https://example.org/", "--organization", hooked.name, "--type", "deal.won",
                "--type", "deal.wom")  # fmt: skip
    assert "'deal.wom' fits no type of events that is known now" in told
    assert "deal.won" in told
    assert "'deal.won' fits no type" not in told


@pytest.mark.parametrize("days", [-31, 1])
def test_a_replay_is_for_the_last_thirty_days(
    hooked: WebhookWorld, receiver: Receiver, days: int
) -> None:
    number, _ = hooked.add(receiver.url)
    since = hooked.now + dt.timedelta(days=days)
    with (
        hooked.begin() as connection,
        pytest.raises(BadInputError, match="last 30 days"),
    ):
        replaying.replay(connection, number, since, hooked.now)


def test_three_days_of_failures_are_one_notification_and_one_alert(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    hooked.installation.execute(
        "insert into crm.users (organization_id, external_id, email, role)"
        f" values ({hooked.organization}, 'ann', 'ann@example.org', 'admin')"
    )
    receiver.answer(500)
    number, _ = hooked.add(receiver.url)
    hooked.publish(*(hooked.moved(hooked.contact(f"c{n}")) for n in range(12)))
    hooked.work()
    while (at := hooked.endpoint(number).next_attempt_at) is not None:
        hooked.now = max(at, *(row[0] for row in hooked.deliveries("due_at")[:1]))
        hooked.work(number)
    assert hooked.endpoint(number).state == "disabled"
    with hooked.begin() as connection:
        counts = replaying.counts_of(connection)
    assert (counts["active_endpoints"], counts["disabled_endpoints"]) == (0, 1)
    assert counts["waiting"] == hooked.endpoint(number).waiting > 0
    assert hooked.installation.rows("select count(*) from crm.notifications") == [(1,)]
    [(subject, kind, error)] = hooked.installation.rows(
        "select subject, kind, error from ops.alerts join ops.incidents on incidents.id ="
        " incident_id"
    )
    assert (subject, kind) == (f"webhook endpoint {number}", "first")
    assert f"webhook enable {number}" in error


def test_a_notification_that_fails_repeats_no_delivery_and_comes_later(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    hooked.installation.execute(
        "insert into crm.users (organization_id, external_id, email, role)"
        f" values ({hooked.organization}, 'ann', 'ann@example.org', 'admin')"
    )
    hooked.installation.execute(
        "alter table crm.notifications add constraint none check (false) not valid"
    )
    receiver.answer(410)
    number, _ = hooked.add(receiver.url)
    [event_id] = hooked.publish(hooked.moved(hooked.contact("ann")))
    try:
        hooked.work()
        assert hooked.deliveries() == [(event_id, "failed", 1, 410)]
        assert hooked.endpoint(number).state == "disabled"
        assert hooked.installation.rows("select count(*) from ops.alerts") == [(0,)]
    finally:
        hooked.installation.execute("alter table crm.notifications drop constraint none")
    hooked.installation.execute("update procrastinate_jobs set scheduled_at = null")
    hooked.work()
    assert hooked.installation.rows("select kind from crm.notifications") == [("webhook_disabled",)]
    assert hooked.installation.rows("select kind from ops.alerts") == [("first",)]
    assert len(receiver.requests) == 1


def test_the_secrets_of_endpoints_are_encrypted_anew_with_those_of_connections(
    hooked: WebhookWorld, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, secret = hooked.add(receiver.url)
    with hooked.begin() as connection:
        endpoints.rotate(connection, get_settings(), number, hooked.now)
    [before] = hooked.installation.rows("select secret, old_secret from webhooks.endpoints")
    monkeypatch.setenv("MARKETING_OLD_SECRET_KEYS", secret_key(get_settings()))
    monkeypatch.setenv("MARKETING_SECRET_KEY", "another-key-of-more-than-thirty-two-bytes")
    get_settings.cache_clear()
    hooked.installation.execute(
        "insert into webhooks.endpoints (id, url, secret, created_at) overriding system value"
        " values (0, 'https://example.org/', 'of a lost key', now())"
    )
    done = call_here("connection", "rotate")
    assert "1 webhook endpoints had secrets of a former key." in done.stdout
    assert done.returncode != 0
    assert "The secret of webhook endpoint 0 was encrypted with another" in done.stderr
    where = f"where id = {number}"
    [after] = hooked.installation.rows(f"select secret, old_secret from webhooks.endpoints {where}")
    assert not set(before) & set(after)
    monkeypatch.delenv("MARKETING_OLD_SECRET_KEYS")
    get_settings.cache_clear()
    hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    [received] = receiver.requests
    Webhook(secret).verify(received.body, received.headers)
