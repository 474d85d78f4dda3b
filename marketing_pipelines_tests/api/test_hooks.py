"""Provider webhooks: signed as vendors sign them, each event once, each element by itself."""

import datetime as dt
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from marketing_pipelines.api.app import build_app
from marketing_pipelines.domains.delivery.hooks import sns
from marketing_pipelines.domains.delivery.hooks.recording import apply_waiting
from marketing_pipelines_tests.api.conftest import NOW
from marketing_pipelines_tests.api.hook_signing import CERTIFICATE_URL, Call, Signer
from marketing_pipelines_tests.installation import Installation

QUEUED = NOW - dt.timedelta(hours=1)
EPOCH = int((NOW - dt.timedelta(minutes=30)).timestamp())
AT = dt.datetime.fromtimestamp(EPOCH, dt.UTC)
ANN = "ann@example.org"
EMPTIED = (
    "delivery.message_events",
    "delivery.subscription_changes",
    "delivery.subscriptions",
    "delivery.categories",
    "delivery.suppressions",
    "delivery.messages",
    "analytics.contact_activity",
    "analytics.event_keys",
)
FORGER = Signer("theirs")
ONCE = "a token that comes twice"


@dataclass
class Amazon:
    """The address of certificates and confirmations, as a transport of the HTTP client."""

    signer: Signer
    asked: list[str] = field(default_factory=list)
    status: int = 200

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(str(request.url))
        content = self.signer.certificate if request.url.path.endswith(".pem") else b"<ok/>"
        return httpx2.Response(self.status, content=content)


@dataclass
class Hooks:
    """The API with the keys of every provider, and an organization with messages."""

    installation: Installation
    signer: Signer
    amazon: Amazon
    client: TestClient

    def post(self, call: Call) -> int:
        answer = self.client.post(call.path, content=call.body, headers=call.headers)
        return answer.status_code

    def new(self, call: Call) -> int:
        """The number of new events of an accepted call."""
        answer = self.client.post(call.path, content=call.body, headers=call.headers)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["events"])

    def message(self, state: str = "sent", **columns: Any) -> int:
        """A message to Ann, of the campaign `spring` and its step `hello`."""
        given = {
            "organization_id": self._one(
                "select id from crm.organizations where external_id = 'acme'"
            ),
            "contact_id": self._one("select id from crm.contacts where external_id = 'ann'"),
            "address": self._one(
                "select delivery.address_of('email', email) from crm.contacts"
                " where external_id = 'ann'"
            ),
            "channel": "email",
            "program_kind": "campaign",
            "program_id": self._one("select id from campaigns.campaigns"),
            "step_id": self._one("select id from lifecycle.steps"),
            "rotation": self._one("select count(*) + 1 from delivery.messages"),
            "content_id": 1,
            "state": state,
            "queued_at": QUEUED,
            "sent_at": None if state in ("queued", "claimed", "unknown") else QUEUED,
        } | columns
        names, values = ", ".join(given), ", ".join(f":{name}" for name in given)
        return int(
            self._one(
                f"insert into delivery.messages ({names}) values ({values}) returning id", **given
            )
        )

    def state(self, message: int) -> tuple[Any, ...]:
        [row] = self.installation.rows(
            "select state, reason from delivery.messages where id = :id", id=message
        )
        return row

    def activity(self) -> list[tuple[Any, ...]]:
        """Id, type, campaign and contact of everything that happened."""
        return self.installation.rows(
            "select event_id, event_type, campaign.external_id, contact.external_id"
            " from analytics.contact_activity as activity"
            " left join campaigns.campaigns as campaign on campaign.id = activity.source_id"
            " join crm.contacts as contact on contact.id = activity.contact_id order by event_id"
        )

    def properties(self, event_type: str) -> list[dict[str, Any]]:
        return [
            row[0]
            for row in self.installation.rows(
                "select properties from analytics.contact_activity where event_type = :type"
                " order by event_id",
                type=event_type,
            )
        ]

    def types(self) -> list[tuple[Any, ...]]:
        """Type, reason and whether it took effect, of every event."""
        return self.installation.rows(
            "select type, reason, message_id is not null from delivery.message_events order by id"
        )

    def suppressed(self) -> list[tuple[Any, ...]]:
        return self.installation.rows(
            "select distinct contact.external_id, channel, reason from delivery.suppressions"
            " join crm.contacts as contact on contact.id = contact_id"
            " or address in (delivery.address_of('email', contact.email),"
            " delivery.address_of('sms', contact.phone)) order by 1, 2, 3"
        )

    def _one(self, statement: str, **parameters: Any) -> Any:
        with self.installation.engine.begin() as connection:
            return connection.execute(sa.text(statement), parameters).scalar_one()


@pytest.fixture(scope="module")
def served(shared_installation: Installation) -> Hooks:
    signer = Signer()
    amazon = Amazon(signer)
    settings = shared_installation.settings.model_copy(update=signer.settings)
    app = build_app(
        settings=settings,
        engine=shared_installation.engine,
        instance=shared_installation.instance,
        now=lambda: NOW,
        transport=httpx2.MockTransport(amazon),
    )
    shared_installation.execute(
        "with organization as (insert into crm.organizations (external_id) values ('acme')"
        " returning id), contacts as (insert into crm.contacts (organization_id, external_id,"
        " email, phone) select id, name, name || '@Example.org',"
        " case name when 'ann' then '+49 (170) 555' end"
        " from organization, unnest(array['ann', 'bob']) as name), campaign as (insert into"
        " campaigns.campaigns (organization_id, external_id, status) select id, 'spring', 'active'"
        " from organization returning id) insert into lifecycle.steps (organization_id,"
        " external_id, program_kind, program_id, position, type) select organization.id, 'hello',"
        " 'campaign', campaign.id, 1, 'send_email' from organization, campaign"
    )
    return Hooks(shared_installation, signer, amazon, TestClient(app))


@pytest.fixture
def hooks(served: Hooks) -> Hooks:
    """Nothing has been sent and nothing reported."""
    with served.installation.engine.begin() as connection:
        # Without triggers: one keeps events from being removed.
        connection.exec_driver_sql("set local session_replication_role = replica")
        for table in EMPTIED:
            connection.exec_driver_sql(f"delete from {table}")
    return served


def told(name: str, message: int | None = None, **more: Any) -> dict[str, Any]:
    """An element of SendGrid about Ann."""
    element: dict[str, Any] = {"event": name, "email": ANN, "timestamp": EPOCH}
    element |= {"sg_event_id": f"{name} {message}"} | more
    return element if message is None else {**element, "message_id": str(message)}


def test_events_reach_the_activity_of_the_campaign_once(hooks: Hooks) -> None:
    message = hooks.message()
    call = hooks.signer.sendgrid(
        [
            told("processed", message),
            told("delivered", message),
            told("open", message, sg_machine_open=True),
            told("click", message, url="https://shop.example.org/"),
            told("spamreport", message),
        ]
    )
    assert hooks.new(call) == 5
    assert hooks.activity() == [
        (f"message:{message}:clicked:sendgrid:click {message}", "clicked", "spring", "ann"),
        (f"message:{message}:complained", "complained", "spring", "ann"),
        (f"message:{message}:delivered", "delivered", "spring", "ann"),
        (f"message:{message}:opened:sendgrid:open {message}", "opened", "spring", "ann"),
    ]
    common = {"message_id": message, "channel": "email", "step": "hello"}
    assert hooks.properties("opened") == [{**common, "machine_open": True}]
    assert hooks.properties("clicked") == [{**common, "url": "https://shop.example.org/"}]
    assert hooks.suppressed() == [("ann", "email", "complaint")]
    [(first, last)] = hooks.installation.rows(
        "select min(occurred_at), max(occurred_at) from analytics.contact_activity"
    )
    assert (first, last) == (AT, AT)
    before = (hooks.activity(), hooks.types(), hooks.suppressed(), hooks.state(message))
    assert hooks.new(call) == 0, "a replay changes nothing"
    assert (hooks.activity(), hooks.types(), hooks.suppressed(), hooks.state(message)) == before


@pytest.mark.parametrize(
    ("state", "events", "after"),
    [
        ("sent", ["delivered"], ("delivered", None)),
        ("sent", ["open"], ("delivered", None)),
        ("sent", ["processed"], ("sent", None)),
        ("delivered", ["bounce"], ("bounced", "550 5.1.1 no such user")),
        ("bounced", ["delivered"], ("bounced", "before")),
        ("failed", ["delivered"], ("failed", "before")),
        ("unknown", ["processed"], ("sent", None)),
        ("unknown", ["delivered", "bounce"], ("bounced", "550 5.1.1 no such user")),
        ("suppressed", ["delivered"], ("suppressed", "before")),
    ],
)
def test_an_event_raises_the_state_and_never_lowers_it(
    hooks: Hooks, state: str, events: list[str], after: tuple[str, str | None]
) -> None:
    message = hooks.message(state, reason="before" if state != "sent" else None)
    reasons = {"bounce": {"type": "bounce", "reason": "550 5.1.1 no such user"}}
    elements = [told(name, message, **reasons.get(name, {})) for name in events]
    assert hooks.new(hooks.signer.sendgrid(elements)) == len(events)
    assert hooks.state(message) == after
    sent = [row for row in hooks.activity() if row[1] == "sent"]
    assert sent == (
        [(f"message:{message}:sent", "sent", "spring", "ann")] if state == "unknown" else []
    ), "the activity of one that was sent already is the worker's"


def test_an_unknown_outcome_is_final_once_its_time_is_over(hooks: Hooks) -> None:
    message = hooks.message("unknown", reason="before", claimed_at=QUEUED - dt.timedelta(hours=49))
    assert hooks.new(hooks.signer.sendgrid([told("delivered", message)])) == 1
    assert hooks.state(message) == ("unknown", "before")


def test_a_failure_before_sending_is_an_end_of_its_own(hooks: Hooks) -> None:
    message = hooks.message("failed", sent_at=None, reason="no such template")
    assert hooks.new(hooks.signer.sendgrid([told("delivered", message)])) == 1
    assert hooks.state(message) == ("failed", "no such template")
    assert hooks.activity() == []


def test_a_message_has_one_bounce_however_often_it_is_told(hooks: Hooks) -> None:
    message = hooks.message()
    soft = {"RecordType": "Bounce", "ID": 1, "Type": "SoftBounce", "Email": ANN}
    hard = {"RecordType": "Bounce", "ID": 2, "Type": "HardBounce", "Email": ANN}
    for element in (soft, hard):
        element |= {"Metadata": {"message_id": str(message)}, "BouncedAt": AT.isoformat()}
        assert hooks.new(hooks.signer.postmark(element)) == 1
    change = {"RecordType": "SubscriptionChange", "SuppressSending": True, "Recipient": ANN}
    change |= {"SuppressionReason": "HardBounce", "Metadata": {"message_id": str(message)}}
    assert hooks.new(hooks.signer.postmark(change)) == 1
    assert [row[0] for row in hooks.activity()] == [f"message:{message}:bounced"]
    assert hooks.properties("bounced")[0]["bounce_type"] == "soft"
    assert hooks.suppressed() == [("ann", "email", "hard_bounce")], "told later, suppressed still"


def test_a_change_of_a_list_changes_the_suppression_only(hooks: Hooks) -> None:
    message = hooks.message("delivered")
    change = {"RecordType": "SubscriptionChange", "Recipient": ANN}
    change |= {"Metadata": {"message_id": str(message)}, "ChangedAt": "2026-03-01T12:00:00Z"}
    left = {"SuppressSending": True, "SuppressionReason": "ManualSuppression"}
    assert hooks.new(hooks.signer.postmark(change | left)) == 1
    assert hooks.suppressed() == [("ann", "email", "unsubscribed")]
    hooks.installation.execute(
        "insert into delivery.suppressions (organization_id, contact_id, channel, reason, since)"
        " select organization_id, contact_id, 'email', 'complaint', since"
        " from delivery.suppressions where contact_id is not null"
    )
    back = {
        "SuppressSending": False,
        "SuppressionReason": None,
        "ChangedAt": "2026-03-01T12:05:00Z",
    }
    assert hooks.new(hooks.signer.postmark(change | back)) == 1
    assert hooks.suppressed() == [("ann", "email", "complaint")]
    assert hooks.activity() == []
    assert hooks.state(message) == ("delivered", None)


@pytest.mark.parametrize(("group", "left"), [("tips", "tips"), ("12345", "news"), (None, "news")])
def test_a_group_that_was_left_is_the_category_of_its_name_or_of_the_message(
    hooks: Hooks, group: str | None, left: str
) -> None:
    hooks.installation.execute(
        "insert into delivery.categories (organization_id, external_id, is_default)"
        " select id, own, own = 'news' from crm.organizations, unnest(array['news', 'tips']) as own"
    )
    message = hooks.message()
    named = {} if group is None else {"asm_group_id": group}
    assert hooks.new(hooks.signer.sendgrid([told("group_unsubscribe", message, **named)])) == 1
    states = "select external_id, state from delivery.subscriptions join delivery.categories as c"
    states += " on c.id = category_id"
    assert hooks.installation.rows(states) == [(left, "unsubscribed")]
    assert hooks.properties("unsubscribed")[0]["category"] == left
    assert hooks.suppressed() == []
    assert hooks.new(hooks.signer.sendgrid([told("group_resubscribe", message, **named)])) == 1
    assert hooks.installation.rows(states) == [(left, "subscribed")]


def test_a_group_of_an_organization_without_categories_is_the_whole_channel(hooks: Hooks) -> None:
    message = hooks.message()
    assert hooks.new(hooks.signer.sendgrid([told("group_unsubscribe", message)])) == 1
    assert "category" not in hooks.properties("unsubscribed")[0]
    assert [row[1:] for row in hooks.suppressed()] == [("email", "unsubscribed")]


def test_a_bad_element_stops_no_other(hooks: Hooks) -> None:
    message = hooks.message()
    elements = [
        told("delivered", message),
        "a text",
        None,
        {"email": ANN},
        {"event": "levitated", "email": ANN},
        {"event": "open"},
        {"event": "click", "email": ["a", "list"], "timestamp": {}},
        {"event": "open", "email": "a\0b\ud800@example.org", "timestamp": 1e300},
        told("bounce", message, type="bounce", sg_event_id="x" * 5000),
    ]
    assert hooks.new(hooks.signer.sendgrid(elements)) == 9
    assert hooks.types() == [
        ("delivered", None, True),
        ("unread", "It is no object.", False),
        ("unread", "It is no object.", False),
        ("unread", "Its event is ''.", False),
        ("unread", "Its event is 'levitated'.", False),
        ("unread", "It names neither a message nor a recipient.", False),
        ("unread", "It names neither a message nor a recipient.", False),
        ("opened", None, False),
        ("bounced", None, True),
    ]
    assert hooks.state(message)[0] == "bounced"
    metrics = {
        (sample.name, sample.labels.get("provider")): sample.value
        for family in text_string_to_metric_families(hooks.client.get("/metrics").text)
        for sample in family.samples
    }
    assert metrics["marketing_message_events_unread_total", "sendgrid"] == 6


def test_a_recipient_that_does_not_agree_leaves_the_event_without_message(hooks: Hooks) -> None:
    message = hooks.message()
    event = told("bounce", message, type="bounce", email="eve@example.org")
    assert hooks.new(hooks.signer.sendgrid([event])) == 1
    assert hooks.types() == [("bounced", None, False)]
    assert (hooks.state(message), hooks.activity(), hooks.suppressed()) == (("sent", None), [], [])


def test_an_event_finds_a_message_to_the_former_address_of_its_contact(hooks: Hooks) -> None:
    message = hooks.message(address="ann@former.example.org")
    event = told("bounce", message, type="bounce", email="Ann@Former.example.org")
    assert hooks.new(hooks.signer.sendgrid([event])) == 1
    assert hooks.state(message)[0] == "bounced"
    assert hooks.installation.rows("select address, reason from delivery.suppressions") == [
        ("ann@former.example.org", "hard_bounce")
    ]


def test_an_event_finds_a_message_to_a_user(hooks: Hooks) -> None:
    to_user = {"contact_id": None, "user_id": 1, "kind": "transactional"}
    message = hooks.message("unknown", address="chief@example.org", claimed_at=QUEUED, **to_user)
    event = told("delivered", message, email="chief@example.org")
    assert hooks.new(hooks.signer.sendgrid([event])) == 1
    assert (hooks.state(message), hooks.activity()) == (("delivered", None), [])


def test_an_unknown_message_suppresses_an_address_that_was_written_to(hooks: Hooks) -> None:
    hooks.message()
    events = [
        told("bounce", 10**9, type="bounce"),
        told("spamreport", 10**9, email=" ANN@example.org"),
        told("unsubscribe", 10**9),
        told("bounce", 10**9, email="bob@example.org", sg_event_id="bob"),
    ]
    assert hooks.new(hooks.signer.sendgrid(events)) == 4
    assert hooks.activity() == []
    assert hooks.suppressed() == [("ann", "email", "complaint"), ("ann", "email", "hard_bounce")]


def test_an_event_finds_its_message_by_the_ids_of_either_side(hooks: Hooks) -> None:
    messages = [hooks.message(provider_message_id="wrfRRvF7"), hooks.message(), hooks.message()]
    named = f"<message.{messages[1]}.0123456789abcdef@example.org>"
    events = [
        told("delivered", sg_message_id="wrfRRvF7.filter0425p1.13037.57.0", sg_event_id="1"),
        told("delivered", **{"smtp-id": named}, sg_event_id="2"),
        told("delivered", **{"smtp-id": "<message.x@example.org>"}, sg_event_id="3"),
    ]
    assert hooks.new(hooks.signer.sendgrid(events)) == 3
    assert [hooks.state(message)[0] for message in messages] == ["delivered", "delivered", "sent"]


def test_an_event_before_its_message_is_settled_finds_it_later(hooks: Hooks) -> None:
    by_number, by_provider = hooks.message("claimed"), hooks.message("claimed")
    events = [
        told("delivered", by_number),
        told("delivered", sg_message_id="abc.1", sg_event_id="by the provider's number"),
    ]
    assert hooks.new(hooks.signer.sendgrid(events)) == 2
    assert (hooks.state(by_number)[0], hooks.activity()) == ("claimed", [])
    hooks.installation.execute(
        "update delivery.messages set state = 'sent', sent_at = queued_at,"
        " provider_message_id = case id when :id then 'abc' end",
        id=by_provider,
    )
    with hooks.installation.engine.begin() as connection:
        assert apply_waiting(connection, NOW + dt.timedelta(minutes=1)) == 2
        assert apply_waiting(connection, NOW + dt.timedelta(minutes=1)) == 0
    assert {hooks.state(by_number)[0], hooks.state(by_provider)[0]} == {"delivered"}
    assert len(hooks.activity()) == 2


def test_the_next_call_looks_for_the_message_again(hooks: Hooks) -> None:
    message, other = hooks.message("claimed"), hooks.message()
    assert hooks.new(hooks.signer.sendgrid([told("delivered", message)])) == 1
    hooks.installation.execute(
        "update delivery.messages set state = 'unknown' where id = :id", id=message
    )
    assert hooks.new(hooks.signer.sendgrid([told("delivered", other)])) == 1
    assert hooks.state(message) == ("delivered", None)
    assert (f"message:{message}:sent", "sent", "spring", "ann") in hooks.activity()


def every_call(signer: Signer, message: int) -> list[Call]:
    """A delivery by every provider."""
    number = str(message)
    header = {"to": ANN, "message-id": f"message.{number}@example.org"}
    return [
        signer.sendgrid([told("delivered", message)]),
        signer.mailgun(
            {
                "event": "delivered",
                "id": "m1",
                "timestamp": EPOCH + 0.5,
                "recipient": ANN,
                "user-variables": {"message_id": number},
                "message": {"headers": header},
            }
        ),
        signer.mailgun_form(
            {"event": "delivered", "recipient": ANN, "Message-Id": f"<message.{number}@x.org>"}
        ),
        signer.mailgun_form({"event": "delivered", "recipient": ANN, "message_id": number},
                            multipart=True),
        signer.postmark(
            {
                "RecordType": "Delivery",
                "Recipient": ANN,
                "DeliveredAt": "2026-03-01T12:00:00.3963933Z",
                "Metadata": {"message_id": number},
            }
        ),
        signer.ses(ses("Delivery", message, delivery={"recipients": [ANN]})),
        signer.mandrill(
            [{"event": "delivered", "ts": EPOCH, "_id": "m",
              "msg": {"email": ANN, "_id": "m", "metadata": {"message_id": number}}}]
        ),
        signer.generic({"id": "g1", "organization": "acme", "type": "delivered",
                        "message_id": message, "occurred_at": AT.isoformat()}, NOW),
    ]  # fmt: skip


def ses(kind: str, message: int, **about: Any) -> dict[str, Any]:
    """An event of SES."""
    mail = {"messageId": "ses-1", "destination": [ANN], "tags": {"message_id": [str(message)]}}
    return {"eventType": kind, "mail": mail, **about}


@pytest.mark.parametrize("which", range(8))
def test_every_provider_is_known_by_its_signature(hooks: Hooks, which: int) -> None:
    message = hooks.message()
    forged = every_call(FORGER, message)[which]
    assert hooks.post(forged) == 401
    call = every_call(hooks.signer, message)[which]
    changed = replace(
        call, body=call.body.replace(b"delivered", b"complained").replace(b"Delivery", b"Complaint")
    )
    if b"event-data" not in call.body and "form" not in call.headers.get("Content-Type", ""):
        # Mailgun signs its token only, and Postmark sends a password.
        expected = 200 if call.path == "/hooks/postmark" else 401
        assert hooks.post(changed) == expected
        hooks.installation.execute("delete from delivery.message_events")
    unsigned = replace(call, headers={"Content-Type": call.headers.get("Content-Type", "")})
    if call.path in ("/hooks/sendgrid", "/hooks/postmark", "/hooks/mandrill", "/hooks/generic"):
        assert hooks.post(unsigned) == 401
    assert hooks.installation.rows("select 1 from delivery.message_events") == []
    assert hooks.new(call) == 1
    assert hooks.state(message)[0] == "delivered"
    assert hooks.new(call) == 0


def test_a_token_of_mailgun_counts_once_whatever_comes_with_it(hooks: Hooks) -> None:
    message = hooks.message()
    event = {"event": "opened", "id": "1", "timestamp": EPOCH, "recipient": ANN}
    assert hooks.new(hooks.signer.mailgun({**event, "event": "accepted"}, token=ONCE)) == 1
    forged = {**event, "event": "complained", "user-variables": {"message_id": message}}
    assert hooks.new(hooks.signer.mailgun({**forged, "id": "2"}, token=ONCE)) == 0
    assert (hooks.suppressed(), hooks.activity()) == ([], [])


def test_a_generic_signature_is_good_for_five_minutes(hooks: Hooks) -> None:
    event = {"id": "1", "type": "delivered", "recipient": ANN}
    for minutes, status in ((-6, 401), (6, 401), (-4, 200)):
        call = hooks.signer.generic(event, NOW + dt.timedelta(minutes=minutes))
        assert hooks.post(call) == status


def test_a_generic_event_names_its_message_by_the_applications_key(hooks: Hooks) -> None:
    message = hooks.message(idempotency_key="signup-17")
    event = {"id": "1", "type": "opened", "idempotency_key": "signup-17", "machine_open": True}
    assert hooks.new(hooks.signer.generic([{**event, "organization": "other"}], NOW)) == 1
    assert hooks.activity() == []
    assert hooks.new(hooks.signer.generic([{**event, "organization": "acme", "id": "2"}], NOW)) == 1
    assert [row[0] for row in hooks.activity()] == [f"message:{message}:opened:generic:2"]
    assert hooks.properties("opened")[0]["machine_open"] is True


@pytest.mark.parametrize(
    ("status", "code", "state", "reason", "suppressed"),
    [
        ("delivered", None, "delivered", None, []),
        ("sent", None, "sent", None, []),
        ("undelivered", "30003", "bounced", "Error 30003", []),
        ("undelivered", "30005", "bounced", "Error 30005", [("ann", "sms", "hard_bounce")]),
        ("undelivered", "30999", "bounced", "Error 30999", []),
        ("failed", "21610", "failed", "Error 21610", [("ann", "sms", "unsubscribed")]),
        ("failed", "21614", "failed", "invalid_number", []),
        ("failed", "30034", "failed", "Error 30034", []),
    ],
)
def test_a_status_callback_of_twilio_finds_its_message_by_the_address(
    hooks: Hooks, status: str, code: str | None, state: str, reason: str | None,
    suppressed: list[Any],
) -> None:  # fmt: skip
    message = hooks.message(channel="sms", address="+49170555")
    fields = {"MessageSid": "SM1", "MessageStatus": status, "To": "+49170555"}
    fields |= {"ErrorCode": code} if code else {}
    call = hooks.signer.twilio(fields, f"?message={message}")
    assert hooks.post(replace(call, path=f"/hooks/twilio?message={message + 1}")) == 401
    assert hooks.new(call) == 1
    assert hooks.state(message) == (state, reason)
    assert hooks.suppressed() == suppressed
    [(own_id,)] = hooks.installation.rows("select provider_event_id from delivery.message_events")
    assert own_id == f"SM1:{status}"


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(
    ("event", "state", "type_", "suppressed"),
    [
        ({"eventType": "Bounce", "bounce": {"bounceType": "Permanent", "bounceSubType": "General"}},
         "bounced", "bounced", "hard_bounce"),
        ({"notificationType": "Bounce", "bounce": {"bounceType": "Transient"}},
         "bounced", "bounced", None),
        ({"eventType": "Bounce",
          "bounce": {"bounceType": "Permanent", "bounceSubType": "OnAccountSuppressionList"}},
         "failed", None, "hard_bounce"),
        ({"eventType": "Complaint", "complaint": {"complaintFeedbackType": "abuse"}},
         "sent", "complained", "complaint"),
        ({"eventType": "Complaint", "complaint": {"complaintFeedbackType": "not-spam"}},
         "sent", None, None),
        ({"eventType": "Open", "open": {"userAgent": "x"}}, "delivered", "opened", None),
        ({"eventType": "Click", "click": {"link": "https://a.example.org"}},
         "delivered", "clicked", None),
        ({"eventType": "DeliveryDelay", "deliveryDelay": {"delayType": "MailboxFull"}},
         "sent", None, None),
        ({"eventType": "Reject", "reject": {"reason": "Bad content"}}, "failed", None, None),
        ({"eventType": "Rendering Failure", "failure": {"errorMessage": "no x"}},
         "failed", None, None),
        ({"eventType": "Subscription",
          "subscription": {"newTopicPreferences": {"unsubscribeAll": True}}},
         "sent", "unsubscribed", "unsubscribed"),
    ],
)  # fmt: skip
def test_events_of_ses_arrive_signed_by_sns(
    hooks: Hooks, version: str, event: dict[str, Any], state: str, type_: str | None,
    suppressed: str | None,
) -> None:  # fmt: skip
    message = hooks.message()
    event = {**ses("", message), **event}
    for about, name in (("bounce", "bouncedRecipients"), ("complaint", "complainedRecipients")):
        if about in event:
            event[about] = {**event[about], name: [{"emailAddress": ANN}]}
    assert hooks.new(hooks.signer.ses(event, version)) == 1
    assert hooks.state(message)[0] == state
    assert [row[1] for row in hooks.activity()] == ([type_] if type_ else [])
    assert [row[2] for row in hooks.suppressed()] == ([suppressed] if suppressed else [])


def test_a_notification_of_ses_counts_for_each_recipient(hooks: Hooks) -> None:
    message = hooks.message()
    bounced = [{"emailAddress": ANN}, {"emailAddress": "bob@example.org"}]
    event = ses("Bounce", message, bounce={"bounceType": "Permanent", "bouncedRecipients": bounced})
    assert hooks.new(hooks.signer.ses(event)) == 2
    assert hooks.types() == [("bounced", None, True), ("bounced", None, False)]


def test_certificates_come_from_sns_alone_and_are_kept(hooks: Hooks) -> None:
    event = ses("Send", 1)
    sns._certificates.clear()
    hooks.amazon.asked.clear()
    for url in (
        "https://sns.evil.example/SimpleNotificationService-0a1b.pem",
        "http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/SimpleNotificationService-1.pem",
        "https://sns.eu-central-1.amazonaws.com/a/SimpleNotificationService-1.pem",
        "https://sns.eu-central-1.amazonaws.com@evil.example/SimpleNotificationService-1.pem",
    ):
        assert hooks.post(hooks.signer.ses(event, SigningCertURL=url)) == 401
    assert hooks.amazon.asked == []
    assert hooks.post(hooks.signer.ses(event, TopicArn="arn:aws:sns:eu:1:unknown")) == 401
    assert hooks.amazon.asked == [], "of a stranger's topic none is fetched"
    hooks.amazon.status = 503
    assert hooks.post(hooks.signer.ses(event)) == 503, "SNS calls again"
    hooks.amazon.status = 200
    for _ in range(2):
        assert hooks.post(hooks.signer.ses(event)) == 200
    assert hooks.amazon.asked == [CERTIFICATE_URL] * 2
    china = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-2.pem"
    assert hooks.post(hooks.signer.ses(event, SigningCertURL=china)) == 200


def test_a_subscription_is_confirmed_for_a_named_topic_only(hooks: Hooks) -> None:
    fields = {"Type": "SubscriptionConfirmation", "Token": "t"}
    url = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    hooks.amazon.asked.clear()
    other = hooks.signer.ses({}, **fields, SubscribeURL=url, TopicArn="arn:aws:sns:eu:1:unknown")
    assert hooks.post(other) == 401
    evil = hooks.signer.ses({}, **fields, SubscribeURL="https://evil.example/?Action=Confirm")
    assert hooks.post(evil) == 401
    assert url not in hooks.amazon.asked
    assert hooks.new(hooks.signer.ses({}, **fields, SubscribeURL=url)) == 0
    assert hooks.amazon.asked[-1] == url
    left = {"Type": "UnsubscribeConfirmation", "Token": "t", "SubscribeURL": url}
    assert hooks.new(hooks.signer.ses({}, **left)) == 0
    raw = Call("/hooks/ses", json.dumps(ses("Send", 1)).encode(), {})
    assert hooks.post(raw) == 401, "raw delivery is not signed"


def test_mandrill_asks_before_it_has_a_key(hooks: Hooks) -> None:
    assert hooks.client.head("/hooks/mandrill").status_code == 200
    assert hooks.client.post("/hooks/mandrill", data={"mandrill_events": "[]"}).status_code == 200


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda signer: replace(signer.sendgrid([]), path="/hooks/nobody"), 404),
        (lambda signer: signer.sendgrid("text"), 400),
        (lambda signer: signer.sendgrid([{}] * 10_001), 413),
        (lambda signer: signer.sendgrid([{"event": "x" * 5_000_000}]), 413),
        (lambda signer: signer.sendgrid([{"event": "x" * 2_000_000}]), 200),
        (lambda signer: replace(signer.postmark({}), body=b"{"), 400),
        (lambda signer: replace(signer.postmark({}), body=b"\xff"), 400),
        (lambda signer: replace(signer.postmark({}), body=b"[" * 100_000), 400),
        (lambda signer: replace(signer.postmark({}), body=b'{"a": NaN, "b": 1e999}'), 200),
        (lambda signer: replace(signer.mailgun({}), body=b"[1]"), 400),
        (lambda signer: signer.mailgun(None), 200),
        (lambda signer: signer.mandrill({"event": "open"}), 200),
        (lambda signer: signer.ses("no object"), 200),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_refused_as_a_whole(
    hooks: Hooks, call: Any, status: int
) -> None:
    answer = call(hooks.signer)
    assert hooks.post(answer) == status
    stored = hooks.installation.rows("select type from delivery.message_events")
    assert stored == ([("unread",)] if status == 200 else [])


def test_an_address_without_its_setting_answers_503_and_stores_nothing(
    hooks: Hooks, shared_installation: Installation
) -> None:
    app = build_app(
        settings=shared_installation.settings,
        engine=shared_installation.engine,
        instance=shared_installation.instance,
    )
    client = TestClient(app)
    for call in [*every_call(hooks.signer, 1), hooks.signer.twilio({"MessageSid": "1"})]:
        answer = client.post(call.path, content=call.body, headers=call.headers)
        assert answer.status_code == 503
        assert answer.json()["error"].startswith("MARKETING_HOOK_")
    assert client.post("/hooks/mandrill", data={"mandrill_events": "[]"}).status_code == 200
    assert hooks.installation.rows("select 1 from delivery.message_events") == []


EXPECTED: dict[tuple[str, str], tuple[str, str | None]] = {
    ("mailgun", "test_failed_permanent_event"): ("bounced", "hard_bounce"),
    ("mailgun", "test_failed_greylisted_event"): ("noted", None),
    ("mailgun", "test_complained_event"): ("complained", "complaint"),
    ("mailgun", "test_opened_event"): ("opened", None),
    ("mailgun", "test_delivered_event"): ("delivered", None),
    ("mailgun", "test_dropped_spam"): ("failed", "complaint"),
    ("mailgun", "test_invalid_mailbox"): ("bounced", "hard_bounce"),
    ("mailgun", "test_metadata_key_conflicts"): ("unread", None),
    ("mandrill", "test_hard_bounce_event"): ("bounced", "hard_bounce"),
    ("mandrill", "test_sync_event"): ("noted", None),
    ("postmark", "test_bounce_event"): ("bounced", "hard_bounce"),
    ("postmark", "test_open_event"): ("opened", None),
    ("postmark", "test_spam_event"): ("complained", "complaint"),
    ("postmark", "test_resubscribe"): ("resubscribed", None),
    ("sendgrid", "setUpClass"): ("noted", None),
    ("sendgrid", "test_delivered_event"): ("delivered", None),
    ("sendgrid", "test_dropped_bounced"): ("failed", "hard_bounce"),
    ("sendgrid", "test_bounce_event"): ("bounced", "hard_bounce"),
    ("sendgrid", "test_open_event"): ("opened", None),
    ("sendgrid", "test_compatibility_message_id_from_smtp_id"): ("delivered", None),
}


def test_every_sample_is_handled_as_its_provider_documents(hooks: Hooks, shared_data: Path) -> None:
    lines = (shared_data / "webhooks" / "samples.jsonl").read_text().splitlines()
    samples = [
        sample
        for sample in map(json.loads, lines)
        if (sample["provider"], sample["case"]) in EXPECTED and recipient_of(sample["payload"])
    ]
    assert len(samples) == 20
    for sample in samples:
        hooks.installation.execute("delete from delivery.message_events")
        hooks.installation.execute("delete from delivery.suppressions")
        address = recipient_of(sample["payload"])
        hooks.installation.execute(
            "update crm.contacts set email = :address where external_id = 'ann'", address=address
        )
        hooks.message()
        sign = getattr(hooks.signer, sample["provider"])
        if sample["provider"] == "mailgun" and "message" not in sample["payload"]:
            sign = hooks.signer.mailgun_form
        assert hooks.new(sign(sample["payload"])) == 1, sample["case"]
        hooks.installation.execute(
            "update crm.contacts set email = 'ann@Example.org' where external_id = 'ann'"
        )
        expected, suppression = EXPECTED[sample["provider"], sample["case"]]
        assert [row[0] for row in hooks.types()] == [expected], sample["case"]
        # None of them names a message of ours; bounces and complaints suppress the address still.
        reasons = hooks.installation.rows("select distinct reason from delivery.suppressions")
        assert reasons == [(suppression,)] * bool(suppression)


def recipient_of(payload: Any) -> str | None:
    element = payload[0] if isinstance(payload, list) else payload
    for place in (element, element.get("msg", {}), element.get("reject", {})):
        for name in ("recipient", "email", "Email", "Recipient"):
            if isinstance(place, dict) and place.get(name):
                return str(place[name])
    return None
