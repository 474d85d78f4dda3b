"""`/v1/messages`: every call once per key, whole or not at all."""

import asyncio
import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from marketing_pipelines.api.limits import MAX_BODY_BYTES
from marketing_pipelines.domains.delivery.transports.outcomes import AttemptError
from marketing_pipelines_tests.api.applications import CONTENT, MESSAGES, NOW, Application
from marketing_pipelines_tests.delivery.world import Recorder
from marketing_pipelines_tests.installation import Installation


@pytest.fixture
def app(shared_installation: Installation) -> Application:
    """An application of an organization of its own; nothing else waits to be sent."""
    shared_installation.execute("delete from delivery.messages where state = 'queued'")
    return Application(shared_installation)


def test_a_mail_to_an_address_is_queued_and_goes_out_with_its_variables(app: Application) -> None:
    answer = app.ask("Ann@Example.org", variables={"code": "<17>"})
    assert answer.status_code == 202
    [number] = app.ids(answer)
    assert answer.json() == {"messages": [{"id": number, "to": 0, "state": "queued"}]}
    transport = Recorder()
    assert app.send(transport).sent == 1
    [taken] = transport.taken
    assert (taken.recipient, taken.content["text"]) == ("Ann@Example.org", "Code <17> for ")
    found = app.get(f"{MESSAGES}/{number}").json()
    assert found["contact"] == "address:ann@example.org"
    assert (found["state"], found["attempts"], found["events"]) == ("sent", 1, [])
    assert found["sent_at"] == "2026-03-02T09:00:00Z"


def test_an_unknown_address_becomes_a_contact_of_source_api_once(app: Application) -> None:
    to = [{"address": " ann@example.org", "name": "Ann Lee"}, {"address": "ANN@example.org "}]
    first, second = app.ids(app.ask(to=to))
    assert first == second
    assert app.ids(app.ask("ann@example.org")) != [first]
    assert app.rows(
        "select external_id, email, first_name, source from crm.contacts"
        " where organization_id = :own"
    ) == [("address:ann@example.org", "ann@example.org", "Ann Lee", "api")]


def test_an_address_belongs_to_the_contact_with_the_smallest_number(app: Application) -> None:
    first = app.contact("c1", email="Ann@example.org")
    app.contact("c2", email="ann@example.org")
    bob = app.contact("c3", email="bob@example.org")
    to = [{"contact": "c3"}, {"address": "ann@example.org"}, {"contact": "c2"}, {"contact": "c1"}]
    ids = app.ids(app.ask(to=to))
    assert ids[1] == ids[2] == ids[3] != ids[0]
    rows = app.rows(
        "select id, contact_id, is_bulk from delivery.messages where organization_id = :own"
    )
    assert sorted(rows) == sorted([(ids[0], bob, True), (ids[1], first, True)])


def test_equal_recipients_are_one_message_which_is_no_bulk(app: Application) -> None:
    assert len(set(app.ids(app.ask("a@example.org", "A@example.org")))) == 1
    assert app.rows("select is_bulk from delivery.messages where organization_id = :own") == [
        (False,)
    ]


def test_the_same_key_again_answers_200_with_the_same_ids_and_their_present_state(
    app: Application,
) -> None:
    order = {"idempotency_key": "signup-17"}
    first = app.ask("a@example.org", "b@example.org", "A@example.org", **order)
    app.send(Recorder())
    body = app.body("a@example.org", "b@example.org", "A@example.org", **order)
    backwards = json.dumps(dict(reversed(body.items())), indent=1)
    headers = app.bearer | {"Content-Type": "application/json"}
    again = app.client.post(MESSAGES, content=backwards, headers=headers)
    assert (first.status_code, again.status_code) == (202, 200)
    assert app.ids(again) == app.ids(first)
    assert [one["state"] for one in again.json()["messages"]] == ["sent"] * 3
    assert app.messages() == 2


def test_another_body_under_a_used_key_is_409_and_writes_nothing(app: Application) -> None:
    app.ask("a@example.org", idempotency_key="k")
    before = app.written()
    answer = app.ask("b@example.org", idempotency_key="k")
    assert answer.status_code == 409
    assert answer.json() == {
        "error": "idempotency_key: an earlier request had 'k' with another body: give this one a "
        "key of its own."
    }
    assert app.written() == before


def test_a_key_is_the_organizations_own_and_without_one_every_call_counts(
    app: Application, shared_installation: Installation
) -> None:
    other = Application(shared_installation)
    assert app.ask("a@example.org", idempotency_key="k").status_code == 202
    assert other.ask("b@example.org", idempotency_key="k").status_code == 202
    assert [app.ask("c@example.org").status_code for _ in range(2)] == [202, 202]
    assert (app.messages(), other.messages()) == (3, 1)


@pytest.mark.fault
def test_two_calls_with_one_key_at_once_write_one_set_of_messages(app: Application) -> None:
    addresses = [f"p{n}@example.org" for n in range(20)]
    with ThreadPoolExecutor(4) as threads:
        calls = [
            threads.submit(app.ask, *addresses, idempotency_key="once", name=None) for _ in range(4)
        ]
        answers = [call.result() for call in calls]
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 202]
    assert len({tuple(app.ids(answer)) for answer in answers}) == 1
    assert app.messages() == 20


@pytest.mark.fault
def test_calls_with_keys_of_their_own_at_once_add_each_address_once(app: Application) -> None:
    addresses = [f"q{n}@example.org" for n in range(20)]
    with ThreadPoolExecutor(4) as threads:
        calls = [
            threads.submit(app.ask, *addresses[:: 1 if n % 2 else -1], idempotency_key=str(n))
            for n in range(4)
        ]
        assert [call.result().status_code for call in calls] == [202] * 4
    assert app.rows("select count(*) from crm.contacts where organization_id = :own") == [(20,)]
    assert app.messages() == 80


@pytest.mark.fault
def test_a_call_whose_answer_is_lost_after_the_commit_is_repeated_with_the_same_ids(
    app: Application,
) -> None:
    body = json.dumps(app.body("a@example.org", "b@example.org", idempotency_key="lost")).encode()
    headers = {**app.bearer, "content-type": "application/json"}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def gone(_: Any) -> None:
        raise SystemExit("the process ends before its answer leaves")

    scope = {
        "type": "http",
        "method": "POST",
        "path": MESSAGES,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }
    with pytest.raises(SystemExit):
        asyncio.run(app.client.app(scope, receive, gone))  # type: ignore[arg-type]
    written = app.rows("select id from delivery.messages where organization_id = :own order by id")
    answer = app.client.post(MESSAGES, content=body, headers=headers)
    assert answer.status_code == 200
    assert sorted(app.ids(answer)) == [number for (number,) in written]
    assert len(written) == 2


def test_a_thousand_recipients_are_one_call_and_one_more_is_refused(app: Application) -> None:
    addresses = [f"n{n}@example.org" for n in range(1_001)]
    refused = app.ask(*addresses)
    assert refused.status_code == 422
    assert refused.json()["error"].startswith("to: List should have at most 1000 items")
    assert app.messages() == 0
    ids = app.ids(app.ask(*addresses[:1_000], idempotency_key="all"))
    assert len(set(ids)) == 1_000
    assert app.ids(app.ask(*addresses[:1_000], idempotency_key="all")) == ids


def test_a_megabyte_is_taken_and_one_byte_more_is_413(app: Application) -> None:
    def of_size(size: int) -> str:
        body = app.body("a@example.org", content={"subject": "s", "text": "x"})
        missing = size - len(json.dumps(body))
        return json.dumps(body | {"content": {"subject": "s", "text": "x" * (missing + 1)}})

    headers = app.bearer | {"Content-Type": "application/json"}
    statuses = [
        app.client.post(MESSAGES, content=of_size(MAX_BODY_BYTES + more), headers=headers)
        for more in (1, 0)
    ]
    assert [answer.status_code for answer in statuses] == [413, 202]
    assert app.messages() == 1


def test_suppressed_recipients_are_messages_with_their_reason(app: Application) -> None:
    app.contact("empty")
    app.contact("there", email="there@example.org")
    app.suppress("bounced@example.org", "hard_bounce")
    app.suppress("left@example.org", "unsubscribed")
    to = [
        {"contact": "empty"},
        {"address": "bounced@example.org"},
        {"address": "left@example.org"},
        {"contact": "there"},
    ]
    answer = app.ask(to=to)
    assert answer.status_code == 202
    assert [(one["state"], one.get("reason")) for one in answer.json()["messages"]] == [
        ("suppressed", "no_address"),
        ("suppressed", "hard_bounce"),
        ("queued", None),
        ("queued", None),
    ]
    marketing = app.ask(to=to[2:], kind="marketing").json()["messages"]
    assert [one.get("reason") for one in marketing] == ["unsubscribed", None]
    assert app.send(Recorder()).sent == 3


def test_marketing_reaches_an_address_only_once_a_file_or_subscription_names_it(
    app: Application, shared_installation: Installation, tmp_path: Any
) -> None:
    def reason(address: str) -> str | None:
        [one] = app.ask(address, kind="marketing").json()["messages"]
        found: str | None = one.get("reason")
        return found

    for name in ("a", "b", "c"):
        assert app.ask(f"{name}@example.org").json()["messages"][0]["state"] == "queued"
        assert reason(f"{name}@example.org") == "not_subscribed"
    rows = {
        "contacts": f"organization_id,external_id\n{app.name},address:a@example.org\n",
        "categories": f"organization_id,external_id,mode\n{app.name},news,opt_in\n",
        "subscriptions": "organization_id,contact_id,category,state\n"
        f"{app.name},address:b@example.org,news,subscribed\n"
        f"{app.name},address:c@example.org,news,unsubscribed\n",
    }
    for kind, text in rows.items():
        path = tmp_path / f"{kind}.csv"
        path.write_text(text)
        shared_installation.load(kind, path)
    assert [reason(f"{name}@example.org") for name in "abc"] == [None, None, "not_subscribed"]
    assert app.rows(
        "select external_id, source from crm.contacts where organization_id = :own order by 1"
    ) == [
        ("address:a@example.org", "import"),
        ("address:b@example.org", "api"),
        ("address:c@example.org", "api"),
    ]


def test_fault_28_leaving_between_the_call_and_its_time_suppresses_the_message(
    app: Application,
) -> None:
    app.contact("c1", email="c1@example.org")
    to = [{"contact": "c1"}]
    later = (NOW + dt.timedelta(hours=1)).isoformat()
    [number] = app.ids(app.ask(to=to, kind="marketing", send_at=later))
    assert app.send(Recorder()).claimed == 0
    app.suppress("c1@example.org", "unsubscribed")
    app.now += dt.timedelta(hours=1)
    assert app.send(Recorder()).suppressed == 1
    found = app.get(f"{MESSAGES}/{number}").json()
    assert (found["state"], found["reason"]) == ("suppressed", "unsubscribed")


def test_transactional_messages_ignore_caps_and_quiet_hours(app: Application) -> None:
    app.installation.execute(
        "update crm.organizations set settings = cast(:settings as jsonb) where id = :own",
        own=app.organization,
        settings=json.dumps(
            {
                "frequency_caps": {"day": 1},
                "quiet_hours": {"start": "00:00", "end": "23:59"},
            }
        ),
    )
    app.contact("c1", email="c1@example.org")
    for kind in ("marketing", "transactional", "transactional"):
        assert app.ask(to=[{"contact": "c1"}], kind=kind).status_code == 202
    report = app.send(Recorder())
    assert (report.sent, report.postponed) == (2, 1)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"valid_for": "2h"}, NOW + dt.timedelta(hours=2)),
        ({"valid_for": "0"}, dt.datetime(9999, 12, 31, tzinfo=dt.UTC)),
        ({"send_at": "2026-03-05T10:00:00+01:00"}, dt.datetime(2026, 3, 6, 9, tzinfo=dt.UTC)),
        (
            {"send_at": "2026-03-05T09:00:00Z", "valid_for": "90min"},
            dt.datetime(2026, 3, 5, 10, 30, tzinfo=dt.UTC),
        ),
    ],
)
def test_a_message_is_valid_from_its_time_on(
    app: Application, fields: dict[str, str], expected: dt.datetime | None
) -> None:
    [number] = app.ids(app.ask("a@example.org", **fields))
    assert app.rows("select expires_at from delivery.messages where id = :id", id=number) == [
        (expected,)
    ]


def test_a_bulk_message_has_two_attempts_five_seconds_apart(app: Application) -> None:
    class Broken(Recorder):
        def send(self, message: Any) -> None:
            raise AttemptError("the server has an error")

    app.ask("a@example.org", "b@example.org")
    assert app.send(Broken()).deferred == 2
    app.now += dt.timedelta(seconds=4)
    assert app.send(Broken()).claimed == 0
    app.now += dt.timedelta(seconds=1)
    assert app.send(Broken()).failed == 2


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"channel": "fax"}, "channel: Input should be 'email', 'sms' or 'push'."),
        ({"colour": "red"}, "colour: Extra inputs are not permitted."),
        ({"to": []}, "to: List should have at least 1 item after validation, not 0."),
        ({"to": [{"name": "Ann"}]}, "to[0]: a recipient has either a contact or an address."),
        (
            {"to": [{"address": "a@example.org"}, {"address": "nobody"}]},
            "to[1].address: 'nobody' is no e-mail address.",
        ),
        (
            {"channel": "sms", "to": [{"address": "0170 1"}], "content": {"text": "x"}},
            "to[0].address: '0170 1' is no phone number: write + and 7 to 15 digits.",
        ),
        (
            {"channel": "push", "to": [{"address": " "}], "content": {"title": "x", "text": "y"}},
            "to[0].address: ' ' is empty.",
        ),
        ({"content": {"text": "x"}}, "content.subject: is missing."),
        (
            {"content": CONTENT | {"title": "x"}},
            "content.title: has no place in a message of the channel email: leave it empty.",
        ),
        ({"content": None}, "The body cannot be used: it has either a template or a content."),
        ({"template": "welcome"}, "The body cannot be used: it has either a template or a"),
        (
            {"to": [{"address": "a@example.org"}] * 900, "variables": {"a": "x" * 60_000}},
            "variables: 60,009 bytes for each of 900 recipients are more than 50,000,000 together",
        ),
        (
            {"content": CONTENT | {"text": "{% for x in %}"}},
            "content.text: Expected an expression, got 'end of statement block' (its line 1).",
        ),
        ({"priority": 101}, "priority: Input should be less than or equal to 100."),
        ({"valid_for": "soon"}, "valid_for: 'soon' is no length"),
        ({"send_at": "2026-03-01T09:00:00"}, "send_at: write an instant with its zone"),
        ({"send_at": "0001-01-01T00:00:00+14:00"}, "send_at: it is no instant of the calendar."),
        ({"send_at": "2026-05-31T09:00:01Z"}, "send_at: it is more than 90 days ahead."),
        ({"variables": {"a": "\0"}}, "The body cannot be used: a text in it contains"),
        ({"idempotency_key": ""}, "idempotency_key: String should have at least 1 character."),
    ],
)
def test_a_wrong_field_is_422_with_its_path_and_writes_nothing(
    app: Application, fields: dict[str, Any], sentence: str
) -> None:
    before = app.written()
    answer = app.ask("a@example.org", **fields)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(sentence)
    assert app.written() == before


@pytest.mark.parametrize(
    "text",
    [
        '{"variables": {"a": NaN}}',
        '{"variables": {"a": "\\ud800"}}',
        '{"variables": {"a": 1e999}}',
        '{"variables": {"a": %s}}' % ("[" * 500 + "]" * 500),
    ],
    ids=["nan", "surrogate", "number", "deep"],
)
def test_a_value_that_postgresql_cannot_store_is_422(app: Application, text: str) -> None:
    body = json.dumps(app.body("a@example.org"))[:-1] + ", " + text[1:]
    headers = app.bearer | {"Content-Type": "application/json"}
    answer = app.client.post(MESSAGES, content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("The body cannot be used: ")


def test_an_unknown_contact_or_organization_is_404_and_writes_nothing(app: Application) -> None:
    before = app.written()
    answer = app.ask(to=[{"address": "new@example.org"}, {"contact": "c99"}], idempotency_key="k")
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "to[1].contact: there is no contact 'c99'."},
    )
    assert app.ask("a@example.org", organization="nobody").status_code == 404
    assert app.get(f"{MESSAGES}/999999").status_code == 404
    assert app.written() == before


def test_a_contact_whose_own_address_changed_is_not_written_to_under_the_old_one(
    app: Application,
) -> None:
    app.ask("ann@example.org")
    app.installation.execute(
        "update crm.contacts set email = 'ann@example.com' where organization_id = :own",
        own=app.organization,
    )
    answer = app.ask("ann@example.org")
    assert answer.status_code == 404
    assert answer.json()["error"] == (
        "to[0].address: the contact 'address:ann@example.org' has another address now: name a "
        "contact."
    )


def test_a_text_message_goes_to_a_normalised_number(app: Application) -> None:
    body = {"channel": "sms", "to": [{"address": "0041 (79) 123-45.67"}], "content": {"text": "x"}}
    [number] = app.ids(app.ask(**body))
    transport = Recorder()
    assert app.send(transport, "sms").sent == 1
    assert transport.taken[0].recipient == "+41791234567"
    assert app.get(f"{MESSAGES}/{number}").json()["contact"] == "address:+41791234567"


def test_a_notification_goes_to_a_token_of_a_contact_or_of_a_new_one(app: Application) -> None:
    number = app.contact("c1")
    app.installation.execute(
        """update crm.contacts set attributes = '{"push_token": "t1"}' where id = :id""", id=number
    )
    body = {"channel": "push", "content": {"title": "x", "text": "y"}}
    app.ids(app.ask(to=[{"address": "t1"}, {"address": " t2 ", "name": "Bo"}], **body))
    assert app.rows(
        "select contact.id = :c1, contact.attributes from delivery.messages as message"
        " join crm.contacts as contact on contact.id = message.contact_id"
        " where message.organization_id = :own order by message.id",
        c1=number,
    ) == [(True, {"push_token": "t1"}), (False, {"push_token": "t2"})]
    transport = Recorder()
    assert app.send(transport, "push").sent == 2
    assert [taken.recipient for taken in transport.taken] == ["t1", "t2"]


def test_a_template_of_the_organization_or_a_built_in_one_is_filled_in(app: Application) -> None:
    app.installation.execute(
        "insert into delivery.categories (organization_id, external_id) values (:own, 'news')",
        own=app.organization,
    )
    app.installation.execute(
        "insert into delivery.templates (organization_id, external_id, subject, text, category,"
        " priority, valid_for) values (:own, 'hello', 'Hi {{ name }}', 'Hi {{ message.name }}',"
        " 'news', 7, '2h')",
        own=app.organization,
    )
    variables = {"name": "Bo", "verification_url": "https://example.org/v"}
    [own] = app.ids(app.ask("a@example.org", content=None, template="hello", variables=variables))
    [verification] = app.ids(
        app.ask("a@example.org", content=None, template="verification", variables=variables)
    )
    app.installation.execute("update delivery.templates set text = 'edited'")
    assert app.rows(
        "select message.kind, category.external_id, message.priority, message.expires_at"
        " from delivery.messages as message"
        " left join delivery.categories as category on category.id = message.category_id"
        " where message.id = :id",
        id=own,
    ) == [("transactional", "news", 7, NOW + dt.timedelta(hours=2))]
    transport = Recorder()
    assert app.send(transport).sent == 2
    texts = {taken.id: taken.content for taken in transport.taken}
    assert (texts[own]["subject"], texts[own]["text"]) == ("Hi Bo", "Hi Bo")
    assert "https://example.org/v" in texts[verification]["text"]


def test_an_unknown_template_is_404_with_the_known_ones_and_writes_nothing(
    app: Application,
) -> None:
    before = app.written()
    for name, sentence in (
        ("nothing", "template: there is no template 'nothing': the known ones are confirm_subscr"),
        ("notification", "template: 'notification' is a template of the channel email, not sms."),
    ):
        channel = "sms" if name == "notification" else "email"
        to = [{"address": "+41791234567" if channel == "sms" else "a@example.org"}]
        answer = app.ask(
            to=to, content=None, template=name, channel=channel, idempotency_key="once"
        )
        assert answer.status_code == 404
        assert answer.json()["error"].startswith(sentence)
    assert app.written() == before


def test_a_message_shows_the_events_of_its_provider(app: Application) -> None:
    [number] = app.ids(app.ask("a@example.org"))
    app.send(Recorder())
    app.installation.execute(
        "insert into delivery.message_events (provider, provider_event_id, message_id, type,"
        " reason, occurred_at, received_at, payload) values ('sendgrid', :id, :message, 'bounced',"
        " '5.1.1', :now, :now, '{}')",
        id=f"e{number}",
        message=number,
        now=NOW,
    )
    assert app.get(f"{MESSAGES}/{number}").json()["events"] == [
        {
            "type": "bounced",
            "occurred_at": "2026-03-02T09:00:00Z",
            "provider": "sendgrid",
            "reason": "5.1.1",
        }
    ]
