"""Events reach the endpoints that want them, signed, in order and as often as needed."""

import datetime as dt
import itertools
import threading
import time

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook

from marketing_pipelines.domains.crm.events import ContactCreated
from marketing_pipelines.domains.webhooks import endpoints
from marketing_pipelines.domains.webhooks.delivering import AT_ONCE, Delivering
from marketing_pipelines.domains.webhooks.publishing import publish_events
from marketing_pipelines.domains.webhooks.standing import DELAYS, MAX_PAUSES
from marketing_pipelines.domains.webhooks.transport import WebhookTransport
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.scale import SOAK
from marketing_pipelines_tests.webhooks.world import Received, Receiver, Reply, WebhookWorld

HOUR = 3_600.0


def test_an_event_reaches_the_endpoint_and_the_receiver_can_verify_it(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    number, secret = hooked.add(receiver.url)
    [event_id] = hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    [received] = receiver.requests
    assert received.event_id == event_id
    assert Webhook(secret).verify(received.body, received.headers) == received.json
    assert received.json["type"] == "contact.stage_changed"
    assert received.json["data"] == {
        "organization": hooked.name,
        "contact": "ann",
        "from": "lead",
        "to": "customer",
        "reason": "won",
        "tick": hooked.now.isoformat().replace("+00:00", "Z"),
    }
    assert hooked.deliveries() == [(event_id, "delivered", 1, 200)]
    assert hooked.endpoint(number).last_ok_at == hooked.now
    assert hooked.work(number) == ["webhooks/deliver"]
    assert len(receiver.requests) == 1


def test_contacts_of_a_load_are_named_by_their_external_ids(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    hooked.add(receiver.url, "contact.created")
    contacts = [hooked.contact(name) for name in ("ann", "bob")]
    hooked.publish(
        ContactCreated(organization_id=hooked.organization, source="import", contacts=contacts)
    )
    hooked.work()
    sent = [received.json["data"] for received in receiver.requests]
    assert len(sent) == 3
    assert {"organization": hooked.name, "contacts": ["ann", "bob"], "source": "import"} in sent


@pytest.mark.parametrize(
    ("pattern", "is_sent"),
    [
        ("contact.stage_changed", True),
        ("contact.*", True),
        ("*", True),
        ("contact.created", False),
        ("contact.stage-changed", None),
        ("contact.stageXchanged", None),
        ("*" * 60, None),
        ("*.*.*.*.*", None),
        ("contact.stage*", None),
        ("*.stage_changed", True),
        ("deal.*", False),
    ],
)
def test_an_endpoint_gets_the_types_that_its_patterns_name(
    hooked: WebhookWorld, receiver: Receiver, pattern: str, is_sent: bool | None
) -> None:
    if is_sent is None:
        with pytest.raises(endpoints.BadInputError, match="is no pattern of types"):
            hooked.add(receiver.url, pattern)
        return
    hooked.add(receiver.url, pattern)
    [event_id] = hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    assert (event_id in receiver.event_ids) is is_sent


def test_an_endpoint_gets_nothing_of_other_organizations_and_of_the_time_before_it(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    other = WebhookWorld(hooked.installation)
    hooked.now += dt.timedelta(hours=1)
    hooked.add(receiver.url)
    hooked.publish(hooked.moved(hooked.contact("ann")))
    other.publish(other.moved(other.contact("bob")))
    hooked.work()
    assert receiver.requests == []


def test_a_consumer_that_is_called_again_writes_and_sends_nothing_twice(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    hooked.add(receiver.url)
    hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    hooked.installation.execute(
        "insert into procrastinate_jobs (queue_name, task_name, args) select queue_name, task_name,"
        " args from procrastinate_jobs where task_name = 'webhooks/publish'"
    )
    hooked.work()
    assert len(receiver.requests) == 1


@pytest.mark.fault(36)
def test_a_failed_delivery_is_repeated_after_the_listed_delays_and_then_given_up(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    receiver.answer(500)
    number, _ = hooked.add(receiver.url)
    [event_id] = hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    assert hooked.deliveries() == [(event_id, "waiting", 1, 500)]
    for attempt, delay in enumerate(DELAYS, start=1):
        hooked.now += delay
        hooked.work_after(-1, number)
        assert len(receiver.requests) == attempt, f"not before {delay}"
        hooked.work_after(1, number)
        assert len(receiver.requests) == attempt + 1
    assert hooked.deliveries() == [(event_id, "failed", 8, 500)]
    assert set(receiver.event_ids) == {event_id}
    assert len({received.headers["webhook-timestamp"] for received in receiver.requests}) == 8


def test_after_five_failures_one_delivery_probes_and_the_others_use_no_attempts(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    receiver.answer(500)
    number, _ = hooked.add(receiver.url)
    ids = hooked.publish(*(hooked.moved(hooked.contact(f"c{n}")) for n in range(30)))
    hooked.work()
    endpoint = hooked.endpoint(number)
    assert (endpoint.state, endpoint.waiting) == ("failing", 30)
    attempted = len(receiver.requests)
    assert 5 <= attempted <= 12, "at most those that were under way"
    hooked.work_after(4, number)
    assert len(receiver.requests) == attempted
    hooked.work_after(1, number)
    assert len(receiver.requests) == attempted + 1
    hooked.work_after(299, number)
    assert len(receiver.requests) == attempted + 1
    receiver.answer(200)
    hooked.work_after(1, number)
    hooked.work_after(2 * HOUR, number)
    assert set(receiver.event_ids[attempted + 1 :]) == set(ids)
    assert hooked.endpoint(number).state == "active"
    assert hooked.states() == {"delivered"}


def test_an_answer_with_retry_after_pauses_the_endpoint_and_costs_no_attempt(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    receiver.answer(429, Retry_After="120")
    number, _ = hooked.add(receiver.url)
    [event_id] = hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    assert hooked.deliveries() == [(event_id, "waiting", 0, 429)]
    hooked.publish(hooked.moved(hooked.contact("bob")))
    hooked.work_after(119, number)
    assert len(receiver.requests) == 1
    receiver.answer(200)
    hooked.work_after(1, number)
    assert len(receiver.requests) == 3
    assert hooked.states() == {"delivered"}


def test_after_twenty_pauses_in_a_row_the_next_is_a_failure(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    receiver.answer(503, Retry_After="60")
    number, _ = hooked.add(receiver.url)
    [event_id] = hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    for _ in range(MAX_PAUSES - 1):
        hooked.work_after(60, number)
    assert len(receiver.requests) == MAX_PAUSES
    assert hooked.deliveries() == [(event_id, "waiting", 0, 503)]
    hooked.work_after(60, number)
    assert hooked.deliveries() == [(event_id, "waiting", 1, 503)]
    hooked.work_after(4, number)
    assert len(receiver.requests) == MAX_PAUSES + 1
    receiver.answer(200)
    hooked.work_after(1, number)
    receiver.answer(429, Retry_After="60")
    hooked.publish(hooked.moved(hooked.contact("bob")))
    hooked.work()
    assert hooked.deliveries("attempts, status") == [(2, 200), (0, 429)], "a success counts anew"


def test_attempts_that_were_under_way_together_ask_for_one_pause(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    receiver.answer(429, Retry_After="60")
    hooked.add(receiver.url)
    hooked.publish(*(hooked.moved(hooked.contact(f"c{n}")) for n in range(30)))
    hooked.work()
    assert 1 <= len(receiver.requests) <= AT_ONCE
    assert hooked.installation.rows("select pauses from webhooks.endpoints") == [(1,)]


@pytest.mark.parametrize(("pause", "seconds", "attempts"), [("0", 1, 0), ("-1", 5, 1)])
def test_a_pause_of_no_time_is_one_second_and_a_negative_one_is_a_failure(
    hooked: WebhookWorld, receiver: Receiver, pause: str, seconds: float, attempts: int
) -> None:
    receiver.answer(429, Retry_After=pause)
    number, _ = hooked.add(receiver.url)
    [event_id] = hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    assert hooked.deliveries() == [(event_id, "waiting", attempts, 429)]
    hooked.work_after(seconds - 0.1, number)
    assert len(receiver.requests) == 1
    hooked.work_after(0.1, number)
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("pause", ["3601", "never", ""])
def test_a_pause_that_is_too_long_or_unreadable_is_a_failure(
    hooked: WebhookWorld, receiver: Receiver, pause: str
) -> None:
    receiver.answer(503, Retry_After=pause)
    hooked.add(receiver.url)
    [event_id] = hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    assert hooked.deliveries() == [(event_id, "waiting", 1, 503)]


@pytest.mark.fault(36)
def test_a_redirect_to_a_private_address_is_a_failure(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    receiver.answer(302, Location="http://169.254.169.254/latest/meta-data")
    hooked.add(receiver.url)
    [event_id] = hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    assert hooked.deliveries() == [(event_id, "waiting", 1, 302)]


def test_the_answer_gone_disables_at_once_and_nothing_is_written_meanwhile(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    receiver.answer(410)
    number, _ = hooked.add(receiver.url)
    [first] = hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    assert hooked.endpoint(number).state == "disabled"
    hooked.publish(hooked.moved(hooked.contact("bob")))
    hooked.work(number)
    assert hooked.deliveries() == [(first, "failed", 1, 410)]
    assert len(receiver.requests) == 1


def test_three_days_without_a_success_disable_an_endpoint(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    receiver.answer(500)
    number, _ = hooked.add(receiver.url)
    hooked.publish(*(hooked.moved(hooked.contact(f"c{n}")) for n in range(30)))
    hooked.work()
    began = hooked.now
    while (endpoint := hooked.endpoint(number)).next_attempt_at is not None:
        hooked.now = endpoint.next_attempt_at
        hooked.work(number)
    assert endpoint.state == "disabled"
    assert dt.timedelta(days=3) <= hooked.now - began < dt.timedelta(days=3, hours=8)


def test_later_events_of_a_contact_wait_for_one_that_fails_for_an_hour(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    number, _ = hooked.add(receiver.url)
    ann, bob = hooked.contact("ann"), hooked.contact("bob")
    first, second, other = hooked.publish(
        hooked.moved(ann), hooked.moved(ann, "evangelist"), hooked.moved(bob)
    )
    receiver.replies = lambda got: (500 if got.event_id == first else 200, {}, "")
    hooked.work()
    assert sorted(receiver.event_ids) == sorted([first, other])
    hooked.work_after(HOUR - 1, number)
    assert second not in receiver.event_ids
    hooked.work_after(1, number)
    assert receiver.event_ids.count(second) == 1
    receiver.answer(200)
    hooked.work_after(3 * HOUR, number)
    assert [row[1] for row in hooked.deliveries()] == ["delivered"] * 3


def test_events_of_a_contact_arrive_in_their_order_and_one_at_a_time(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    """Later events are answered sooner, so that they would come first if they were sent at once."""
    hooked.add(receiver.url)
    contacts = {name: hooked.contact(name) for name in ("ann", "bob", "cyd")}
    ids: dict[str, list[str]] = {name: [] for name in contacts}
    for n in range(6):
        for name, contact in contacts.items():
            ids[name] += hooked.publish(hooked.moved(contact, f"stage{n}"))
    guard = threading.Lock()
    under_way: list[str] = []
    together = set()

    def reply(received: Received) -> Reply:
        name = received.json["data"]["contact"]
        with guard:
            under_way.append(name)
            together.add(tuple(sorted(under_way)))
        time.sleep(0.03 - 0.004 * ids[name].index(received.event_id))
        with guard:
            under_way.remove(name)
        return 200, {}, ""

    receiver.replies = reply
    hooked.work()
    for name in contacts:
        own = [got.event_id for got in receiver.requests if got.json["data"]["contact"] == name]
        assert own == ids[name]
    assert all(len(set(names)) == len(names) for names in together)
    assert max(len(names) for names in together) > 1, "different contacts do not wait"


def test_after_a_rotation_both_secrets_verify_for_a_day(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    number, old = hooked.add(receiver.url)
    contact = hooked.contact("ann")
    with hooked.begin() as connection:
        new = endpoints.rotate(connection, get_settings(), number, hooked.now)
    hooked.publish(hooked.moved(contact))
    hooked.work()
    [received] = receiver.requests
    for secret in (old, new):
        Webhook(secret).verify(received.body, received.headers)
    hooked.now += dt.timedelta(hours=24)
    hooked.publish(hooked.moved(contact))
    hooked.work()
    signature = receiver.requests[1].headers["webhook-signature"]
    at = dt.datetime.fromtimestamp(int(receiver.requests[1].headers["webhook-timestamp"]), dt.UTC)
    event_id, body = receiver.requests[1].event_id, receiver.requests[1].body
    assert signature == Webhook(new).sign(event_id, at, body)


def test_secrets_are_stored_encrypted(hooked: WebhookWorld, receiver: Receiver) -> None:
    _, secret = hooked.add(receiver.url)
    [[stored]] = hooked.installation.rows("select secret from webhooks.endpoints")
    assert secret.startswith("whsec_")
    assert len(secret) == len("whsec_") + 44
    assert secret.removeprefix("whsec_") not in stored


def test_a_round_that_is_over_leaves_the_rest_of_its_batch_waiting(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    number, _ = hooked.add(receiver.url)
    hooked.publish(*(hooked.moved(hooked.contact(f"c{n}")) for n in range(30)))
    with hooked.begin() as connection:
        events = connection.execute(sa.text("select id from ops.bus_events")).scalars()
        publish_events(connection, list(events), hooked.now)
    work = Delivering(
        number,
        hooked.begin,
        get_settings(),
        WebhookTransport(get_settings().webhook_hosts),
        lambda: hooked.now,
    )
    assert work.deliver_batch(lambda: True)
    assert len(receiver.requests) == AT_ONCE
    assert hooked.endpoint(number).waiting == 30 - AT_ONCE


def test_an_attempt_with_an_unforeseen_error_fails_alone(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    number, _ = hooked.add(receiver.url)
    hooked.publish(*(hooked.moved(hooked.contact(f"c{n}")) for n in range(10)))
    with hooked.begin() as connection:
        events = connection.execute(sa.text("select id from ops.bus_events")).scalars()
        publish_events(connection, list(events), hooked.now)
    calls = itertools.count(1)

    def resolve(host: str) -> list[str]:
        if next(calls) == 3:
            raise LookupError("no such table")
        return [host]

    transport = WebhookTransport(get_settings().webhook_hosts, resolve=resolve)
    work = Delivering(number, hooked.begin, get_settings(), transport, lambda: hooked.now)
    assert work.deliver_batch()
    assert len(receiver.requests) == 9
    states = [row[0] for row in hooked.deliveries("state")]
    assert sorted(states) == ["delivered"] * 9 + ["waiting"]
    [[response]] = hooked.installation.rows(
        "select response from webhooks.deliveries where state = 'waiting' and attempts = 1"
    )
    assert response == "It could not be sent (LookupError); the log has the details."


def test_a_secret_that_no_key_opens_pauses_its_endpoint_until_it_is_rotated(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    number, _ = hooked.add(receiver.url)
    hooked.installation.execute("update webhooks.endpoints set secret = 'of another key'")
    hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    assert receiver.requests == []
    assert f"`webhook rotate {number}`" in str(hooked.endpoint(number).error)
    assert hooked.deliveries("state, attempts") == [("waiting", 0)]
    with hooked.begin() as connection:
        secret = endpoints.rotate(connection, get_settings(), number, hooked.now)
    hooked.work_after(300, number)
    [received] = receiver.requests
    at = dt.datetime.fromtimestamp(int(received.headers["webhook-timestamp"]), dt.UTC)
    assert received.headers["webhook-signature"] == Webhook(secret).sign(
        received.event_id, at, received.body
    )
    assert hooked.endpoint(number).error is None


def test_control_characters_of_an_answer_are_not_stored(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    receiver.replies = lambda _received: (500, {}, "a\x00\x1b[31mred\r\nnext \u202edrow\x9b")
    hooked.add(receiver.url)
    hooked.publish(hooked.moved(hooked.contact("ann")))
    hooked.work()
    assert hooked.deliveries("response") == [("a [31mred next  drow ",)]


def test_an_organization_has_at_most_fifty_endpoints(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    other = WebhookWorld(hooked.installation)
    for _ in range(endpoints.MAX_ENDPOINTS):
        hooked.add(receiver.url)
    with pytest.raises(endpoints.BadInputError, match="There are 50 webhook endpoints already"):
        hooked.add(receiver.url)
    other.add(receiver.url)


def test_a_secret_that_no_longer_signs_is_removed(hooked: WebhookWorld, receiver: Receiver) -> None:
    number, _ = hooked.add(receiver.url)
    with hooked.begin() as connection:
        endpoints.rotate(connection, get_settings(), number, hooked.now)
    has_old = "select old_secret is not null, old_secret_until is not null from webhooks.endpoints"
    for hours, kept in ((23, True), (24, False)):
        with hooked.begin() as connection:
            endpoints.forget_old_secrets(connection, hooked.now + dt.timedelta(hours=hours))
        assert hooked.installation.rows(has_old) == [(kept, kept)]


@pytest.mark.soak
def test_endpoints_are_listed_at_once_however_many_deliveries_they_have(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    rows = 1_000_000 if SOAK else 6_000
    few, _ = hooked.add(receiver.url)
    many, _ = hooked.add(receiver.url)
    hooked.installation.execute(
        "insert into webhooks.deliveries (endpoint_id, event_id, type, data, published_at, due_at,"
        " state, ended_at) select case when n < 6 then :few else :many end, 'b' || n, 'deal.won',"
        " '{}', :now, :now, (array['waiting', 'failed', 'delivered'])[n % 3 + 1],"
        " case when n % 3 = 0 then null else cast(:now as timestamptz) end"
        " from generate_series(0, :rows - 1) as n",
        few=few,
        many=many,
        now=hooked.now,
        rows=rows,
    )
    hooked.installation.execute("analyze webhooks.deliveries")
    taken = []
    with hooked.begin() as connection:
        for _ in range(5):
            began = time.monotonic()
            found = endpoints.listed(connection)
            taken.append(time.monotonic() - began)
    assert [(one.waiting, one.failed) for one in found] == [(2, 2), (1_000, 1_000)]
    assert min(taken) <= 0.05
