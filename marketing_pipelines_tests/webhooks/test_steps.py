"""Steps `webhook` of programs: a signed delivery for each contact, to the endpoint of the URL."""

import contextlib
import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook

from marketing_pipelines.domains.webhooks import endpoints, tasks
from marketing_pipelines.domains.webhooks.delivering import Delivering
from marketing_pipelines.domains.webhooks.replaying import ReplayedDeliveries, replay
from marketing_pipelines.domains.webhooks.transport import WebhookTransport
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.lifecycle.world import ProgramWorld
from marketing_pipelines_tests.queueing.consuming import consume
from marketing_pipelines_tests.webhooks.world import Received, Receiver, WebhookWorld

TICK = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
ENTRY = TICK - dt.timedelta(minutes=5)
BODY = {"who": "{{ first_name | upper }}", "score": [{"is": "{{ intent_score }}"}], "n": 1}
DELIVERIES = "select state, attempts, response from webhooks.deliveries order by id"


class KilledError(Exception):
    """The worker ends here."""


@pytest.fixture
def stepping(hooked: WebhookWorld) -> ProgramWorld:
    return ProgramWorld(hooked.installation.engine, name="shop")


def add(world: ProgramWorld, url: str) -> tuple[int, str]:
    """An endpoint for steps alone; returns its number and secret."""
    with world.engine.begin() as connection:
        return endpoints.add(
            connection, get_settings(), world.organization_id, url, ["step.reached"], ENTRY
        )


def reach(world: ProgramWorld, url: str, contacts: int = 1, **config: Any) -> list[str]:
    """Contacts come to a step with this URL; returns the ids of their events."""
    steps = [("tell", "webhook", {"url": url, **config}), ("later", "wait", {"for": "1d"})]
    program = world.program(steps)
    numbers = world.contacts(contacts, first_name="Ann", intent_score=7)
    world.enrol(program, numbers, ENTRY)
    world.move(TICK)
    return [
        f"step:{enrolment}:{step}"
        for enrolment, step in world.rows(
            "select enrolment.id, step.id from lifecycle.enrolments as enrolment"
            " join lifecycle.steps as step using (program_kind, program_id)"
            " where step.type = 'webhook' order by 1"
        )
    ]


def work(world: ProgramWorld, seconds: float = 1) -> None:
    """Does the tasks of all endpoints so long after the tick."""
    numbers = [number for (number,) in world.rows("select id from webhooks.endpoints")]
    with world.engine.begin() as connection:
        tasks.ring(connection, numbers)
    consume(world.engine, "webhooks", clock=lambda: TICK + dt.timedelta(seconds=seconds))


def assert_signed(received: Received, secret: str) -> None:
    """The library's own `verify` takes its time from the clock of the machine."""
    at = dt.datetime.fromtimestamp(int(received.headers["webhook-timestamp"]), dt.UTC)
    signature = Webhook(secret).sign(received.event_id, at, received.body)
    assert received.headers["webhook-signature"] == signature


def test_a_step_is_one_signed_delivery_for_each_contact(
    stepping: ProgramWorld, receiver: Receiver
) -> None:
    _, secret = add(stepping, receiver.url)
    ids = reach(stepping, receiver.url, contacts=3, body=BODY)
    stepping.move(TICK)
    work(stepping)
    assert sorted(receiver.event_ids) == sorted(ids)
    for received in receiver.requests:
        assert_signed(received, secret)
    [contact] = stepping.rows("select external_id from crm.contacts order by id limit 1")
    assert next(one for one in receiver.requests if one.event_id == ids[0]).json == {
        "type": "step.reached",
        "timestamp": TICK.isoformat().replace("+00:00", "Z"),
        "data": {
            "organization": "shop",
            "contact": contact[0],
            "program_kind": "campaign",
            "program": "welcome",
            "step": "tell",
            "body": {"who": "ANN", "score": [{"is": "7"}], "n": 1},
        },
    }
    assert stepping.rows("select distinct fields from webhooks.deliveries") == [(None,)]
    assert stepping.messages() == {}


def test_a_step_without_a_body_sends_the_fields_of_the_contact(
    stepping: ProgramWorld, receiver: Receiver
) -> None:
    add(stepping, receiver.url)
    reach(stepping, receiver.url)
    work(stepping)
    [received] = receiver.requests
    contact = received.json["data"]["body"]["contact"]
    assert (contact["first_name"], contact["intent_score"]) == ("Ann", 7)
    assert not {"id", "organization_id", "attributes", "source"} & set(contact)


def test_a_repeated_attempt_has_the_id_and_the_body_of_the_first(
    stepping: ProgramWorld, receiver: Receiver
) -> None:
    add(stepping, receiver.url)
    [event_id] = reach(stepping, receiver.url, body=BODY)
    receiver.answer(500)
    work(stepping)
    stepping.execute("update crm.contacts set first_name = 'Bea'")
    receiver.answer(200)
    work(stepping, 10)
    first, second = receiver.requests
    assert (first.event_id, second.event_id) == (event_id, event_id)
    assert first.body == second.body
    assert stepping.rows(DELIVERIES) == [("delivered", 2, "status 200")]


@pytest.mark.parametrize("body", [BODY, None])
def test_a_worker_killed_before_it_settles_repeats_the_attempt_under_the_same_id(
    stepping: ProgramWorld, receiver: Receiver, body: Any
) -> None:
    number, _ = add(stepping, receiver.url)
    [event_id] = reach(stepping, receiver.url, body=body)
    transactions = 0

    @contextlib.contextmanager
    def begin() -> Iterator[sa.Connection]:
        nonlocal transactions
        transactions += 1
        with stepping.engine.begin() as connection:
            yield connection
            if transactions == 2:
                raise KilledError

    settings = get_settings()
    transport = WebhookTransport(settings.webhook_hosts)
    with pytest.raises(KilledError):
        Delivering(number, begin, settings, transport, lambda: TICK).deliver_batch()
    work(stepping)
    assert receiver.event_ids == [event_id] * 2
    assert len({received.body for received in receiver.requests}) == 1


def test_contacts_pass_a_step_whose_endpoint_is_disabled(stepping: ProgramWorld) -> None:
    number, _ = add(stepping, "https://hooks.example.org/in")
    with stepping.engine.begin() as connection:
        endpoints.disable(connection, number, ENTRY)
    reach(stepping, "https://hooks.example.org/in", contacts=2)
    assert stepping.rows(
        "select outcome, reason, count(*) from lifecycle.step_results"
        " join lifecycle.steps as step on step.id = step_id"
        " where type = 'webhook' group by 1, 2"
    ) == [("skipped", "endpoint_disabled", 2)]
    assert stepping.webhooks() == {}


def test_an_enabled_endpoint_of_the_same_url_takes_the_place_of_a_disabled_one(
    stepping: ProgramWorld,
) -> None:
    url = "https://hooks.example.org/in"
    (off, _), (on, _) = add(stepping, url), add(stepping, url)
    with stepping.engine.begin() as connection:
        endpoints.disable(connection, off, ENTRY)
    reach(stepping, url)
    assert stepping.rows("select endpoint_id from webhooks.deliveries") == [(on,)]


def test_a_suppression_of_webhooks_stops_them_and_one_of_everything_else_does_not(
    stepping: ProgramWorld,
) -> None:
    url = "https://hooks.example.org/in"
    add(stepping, url)
    program = stepping.program([("tell", "webhook", {"url": url})])
    contacts = stepping.contacts(2)
    for contact, channel in zip(contacts, ("webhook", "all"), strict=True):
        stepping.event([contact], "unsubscribed", ENTRY, properties={"channel": channel})
        stepping.execute(
            "insert into delivery.suppressions (organization_id, contact_id, channel, reason,"
            " since) values (:organization, :contact, :channel, 'unsubscribed', :at)"
            " on conflict do nothing",
            organization=stepping.organization_id,
            contact=contact,
            channel=channel,
            at=ENTRY,
        )
    stepping.enrol(program, contacts, ENTRY)
    stepping.move(TICK)
    assert stepping.results(program) == {("tell", "skipped"): 1, ("tell", "done"): 1}
    assert stepping.rows("select contact_id from webhooks.deliveries") == [(contacts[1],)]


def test_contacts_wait_at_a_step_without_endpoint_until_there_is_one(
    stepping: ProgramWorld,
) -> None:
    url = "https://hooks.example.org/in"
    program = stepping.program([("tell", "webhook", {"url": url})])
    stepping.execute("delete from webhooks.endpoints")
    stepping.enrol(program, stepping.contacts(1), ENTRY)
    report = stepping.move(TICK)
    assert report.blocked == {
        "campaign welcome of shop": "step tell: url: shop has no webhook endpoint"
        f" '{url}': add it by `webhook add URL --organization shop --type step.reached`."
    }
    add(stepping, url)
    stepping.move(TICK)
    assert stepping.webhooks() == {"tell": 1}


def test_a_replay_makes_the_deliveries_of_steps_again_under_their_ids(
    stepping: ProgramWorld, receiver: Receiver
) -> None:
    number, _ = add(stepping, receiver.url)
    [event_id] = reach(stepping, receiver.url, body=BODY)
    work(stepping)
    with stepping.engine.begin() as connection:
        done = replay(connection, number, ENTRY, TICK, with_delivered=True)
    assert done == ReplayedDeliveries(missing=0, again=1)
    work(stepping, 2)
    assert receiver.event_ids == [event_id] * 2
    assert len({received.body for received in receiver.requests}) == 1


def test_a_body_that_cannot_be_filled_in_fails_alone_and_is_filled_in_again_by_a_replay(
    stepping: ProgramWorld, receiver: Receiver
) -> None:
    number, _ = add(stepping, receiver.url)
    reach(stepping, receiver.url, contacts=2, body={"left": "{{ 10 - intent_score }}"})
    stepping.execute(
        'update webhooks.deliveries set fields = fields || \'{"intent_score": "x"}\''
        " where id = (select min(id) from webhooks.deliveries)"
    )
    work(stepping)
    [(state, attempts, response), good] = stepping.rows(DELIVERIES)
    assert (state, attempts) == ("failed", 0)
    assert response.startswith("Its body.left cannot be filled in: ")
    assert good == ("delivered", 1, "fine")
    assert stepping.rows("select state, failures from webhooks.endpoints") == [("active", 0)]
    with stepping.engine.begin() as connection:
        replay(connection, number, ENTRY, TICK)
    assert stepping.rows("select state from webhooks.deliveries order by id limit 1") == [
        ("draft",)
    ]


def test_an_endpoint_without_secret_waits_for_one(
    stepping: ProgramWorld, receiver: Receiver
) -> None:
    [event_id] = reach(stepping, receiver.url)
    work(stepping)
    [(number, error)] = stepping.rows("select id, error from webhooks.endpoints")
    assert receiver.event_ids == []
    assert error == (
        f"The endpoint has no secret yet: make one by `webhook rotate {number}`, and give it to the"
        " receiver."
    )
    with stepping.engine.begin() as connection:
        secret = endpoints.rotate(connection, get_settings(), number, TICK)
    work(stepping, 301)
    [received] = receiver.requests
    assert received.event_id == event_id
    assert_signed(received, secret)


def test_webhooks_that_a_former_release_queued_as_messages_become_deliveries(
    stepping: ProgramWorld, receiver: Receiver
) -> None:
    add(stepping, receiver.url)
    steps = [("tell", "webhook", {"url": receiver.url, "body": BODY}), ("w", "wait", {"for": "9d"})]
    program = stepping.program(steps)
    contacts = stepping.contacts(3, first_name="Ann", intent_score=7)
    stepping.enrol(program, contacts, ENTRY)
    states = dict(zip(contacts, ("queued", "claimed", "sent"), strict=True))
    stepping.execute(
        "with content as (insert into delivery.contents (organization_id, digest, content)"
        " values (:organization, 'd', cast(:content as jsonb)) returning id)"
        " insert into delivery.messages (organization_id, channel, contact_id, program_kind,"
        " program_id, step_id, rotation, content_id, state, due_at, queued_at, leased_until,"
        " sent_at, claim) select :organization, 'webhook', key::bigint, 'campaign', :program,"
        " step.id, 1, content.id, value, :at, :at,"
        " case value when 'claimed' then cast(:at as timestamptz) end,"
        " case value when 'sent' then cast(:at as timestamptz) end, 1"
        " from content, lifecycle.steps as step, jsonb_each_text(cast(:states as jsonb))"
        " where step.type = 'webhook'",
        organization=stepping.organization_id,
        content=json.dumps({"url": receiver.url, "body": BODY}),
        program=program,
        states=json.dumps(states),
        at=ENTRY,
    )
    stepping.execute(
        "insert into lifecycle.step_results (enrolment_id, step_id, outcome, at)"
        " select enrolment.id, step.id, 'done', :at from lifecycle.enrolments as enrolment,"
        " lifecycle.steps as step where step.type = 'webhook'",
        at=ENTRY,
    )
    for _ in range(2):
        stepping.move(TICK)
    work(stepping)
    assert len(receiver.requests) == len(set(receiver.event_ids)) == 2
    assert {one.json["data"]["body"]["who"] for one in receiver.requests} == {"ANN"}
    moved = ("suppressed", "sent as a webhook delivery")
    messages = "select state, reason from delivery.messages order by contact_id"
    assert stepping.rows(messages) == [moved, moved, ("sent", None)]
