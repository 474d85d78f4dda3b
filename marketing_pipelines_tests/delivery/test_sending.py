"""Each message ends once, with its reason, and stops no other."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.delivery import handovers
from marketing_pipelines.domains.delivery.links import Links
from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered
from marketing_pipelines.domains.delivery.sending import LEASE, SendingReport, send_batch
from marketing_pipelines.domains.delivery.tables import CHANNELS, messages
from marketing_pipelines.domains.delivery.transports.outbox import Outbox
from marketing_pipelines.domains.delivery.transports.outcomes import BouncedError
from marketing_pipelines.domains.lifecycle import steps
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores import intents
from marketing_pipelines.stores.postgres import committing_each
from marketing_pipelines_tests.delivery.counts import Audience
from marketing_pipelines_tests.delivery.world import (
    CONTENTS,
    NOW,
    Recorder,
    World,
    files,
    mail,
    outbox,
)

MINUTE = dt.timedelta(minutes=1)


def claim(world: World, now: dt.datetime = NOW) -> list[Any]:
    """Claims as a worker does that is killed then, or sleeps for long."""
    with world.begin() as connection:
        return intents.claim(connection, messages, limit=100, lease=LEASE, now=now)


def test_a_message_that_is_due_is_sent_once_by_its_channel(world: World) -> None:
    contacts = world.contacts(1)
    numbers = [
        world.messages(contacts, channel, step=step)[0] for step, channel in enumerate(CHANNELS)
    ]
    for sent, channel in enumerate(CHANNELS, start=1):
        assert world.send(channel) == SendingReport(claimed=1, sent=1)
        assert world.send(channel) == SendingReport()
        assert [state for state, _ in world.states()].count("sent") == sent
    assert world.rows(
        "select id, reason, sent_at, attempts, leased_until from delivery.messages order by id"
    ) == [(number, None, NOW, 1, None) for number in numbers]
    assert {path.parent.parent.name: int(path.stem) for path in files()} == dict(
        zip(CHANNELS, numbers, strict=True)
    )


def test_it_says_what_its_content_says_for_its_contact(world: World) -> None:
    [contact] = world.contacts(1, attributes={"plan": "gold", "first_name": "of the attributes"})
    content = {
        "subject": "{{ plan }}",
        "text": "{{ first_name }} {{ last_name }} {{ lead_grade }} {{ nope }}",
        "html": "<b>{{ plan }}</b>",
    }
    [number] = world.messages([contact], content=content)
    world.send()
    written = mail(number)
    assert written["Subject"] == "gold"
    links = Links.of(get_settings())
    text, html = [part.get_content() for part in written.iter_parts()]
    assert text == f"Ann Lee  \n\n-- \nUnsubscribe: {links.unsubscribe(number)}\n"
    assert html.startswith("<b>gold</b><p ")
    for url in (links.unsubscribe(number), links.preferences(number), links.view(number)):
        assert f'<a href="{url}">' in html
    assert written["List-Unsubscribe"] == f"<{links.unsubscribe(number)}>"
    assert written["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert str(written["From"]) == f"Acme <messages@organization-{world.organization}.invalid>"


def test_a_mail_with_a_place_for_the_links_gets_no_footer(world: World) -> None:
    content = {"subject": "Hello", "text": "Leave: {{ unsubscribe_url }}"}
    [number] = world.messages(world.contacts(1), content=content)
    world.send()
    leave = Links.of(get_settings()).unsubscribe(number)
    text, html = [part.get_content() for part in mail(number).iter_parts()]
    assert text == f"Leave: {leave}\n"
    assert html == f'<html><body>\n<p>Leave: <a href="{leave}">{leave}</a></p>\n</body></html>\n'


def test_contacts_that_left_the_category_get_nothing(world: World) -> None:
    stays, left = world.contacts(1), world.contacts(1, email="bob@example.org")
    same = world.contacts(1, email=" BOB@example.org")
    category = world.value(
        "insert into delivery.categories (organization_id, external_id, is_default)"
        " values (:organization, 'news', true) returning id",
        organization=world.organization,
    )
    world.execute(
        "insert into delivery.subscriptions (organization_id, contact_id, category_id, state)"
        " values (:organization, :contact, :category, 'unsubscribed')",
        organization=world.organization,
        contact=left[0],
        category=category,
    )
    world.messages(stays + left + same)
    assert world.send() == SendingReport(claimed=3, sent=1, suppressed=2)
    assert world.states() == [
        ("sent", None), ("suppressed", "unsubscribed"), ("suppressed", "unsubscribed")
    ]  # fmt: skip


def test_a_message_that_is_due_later_waits(world: World) -> None:
    world.messages(world.contacts(1), due_at=NOW + MINUTE)
    assert world.send(now=NOW + MINUTE - dt.timedelta(microseconds=1)) == SendingReport()
    assert world.send(now=NOW + MINUTE) == SendingReport(claimed=1, sent=1)


SUPPRESSIONS: dict[str, tuple[str, dict[str, Any], str | None, tuple[str, str | None]]] = {
    "unsubscribed": ("email", {}, "email", ("suppressed", "unsubscribed")),
    "from all": ("sms", {}, "all", ("suppressed", "unsubscribed")),
    "from another channel": ("email", {}, "sms", ("sent", None)),
    "no address": ("email", {"email": None}, None, ("suppressed", "no_address")),
    "an empty address": ("email", {"email": " "}, None, ("suppressed", "no_address")),
    "no phone": ("sms", {"phone": None}, None, ("suppressed", "no_address")),
    "no token": (
        "push", {"attributes": {"push_token": None}}, None, ("suppressed", "no_address"),
    ),
    "what is no address": (
        "email", {"email": "ann"}, None, ("failed", "The recipient's e-mail address is not valid."),
    ),
}  # fmt: skip


def test_who_must_not_or_cannot_be_written_to_is_passed_with_the_reason(world: World) -> None:
    numbers = {}
    for case, (channel, columns, suppressed, _) in SUPPRESSIONS.items():
        [contact] = world.contacts(1, **columns)
        if suppressed is not None:
            world.suppress(contact, suppressed)
        [numbers[case]] = world.messages([contact], channel)
    for channel in CHANNELS:
        world.send(channel)
    ends = {case: world.state(number) for case, number in numbers.items()}
    assert ends == {case: end for case, (*_, end) in SUPPRESSIONS.items()}
    assert [world.send(channel, now=NOW + LEASE) for channel in CHANNELS] == [SendingReport()] * 3


@pytest.mark.fault(28)
def test_who_unsubscribes_between_queue_and_sending_gets_nothing(world: World) -> None:
    contacts = world.contacts(2)
    first, second = world.messages(contacts)
    world.suppress(contacts[0], "email", "complaint")
    assert world.send() == SendingReport(claimed=2, sent=1, suppressed=1)
    assert world.state(first) == ("suppressed", "complaint")
    assert [path.stem for path in files()] == [str(second)]


def test_the_contact_of_another_organization_is_nobody(world: World) -> None:
    [contact] = world.contacts(1)
    other = world.value("insert into crm.organizations (external_id) values ('b') returning id")
    world.execute("update crm.contacts set organization_id = :other", other=other)
    [number] = world.messages([contact])
    world.send()
    assert world.state(number) == ("suppressed", "no_address")


# 17
def test_a_template_that_cannot_be_filled_in_fails_alone(world: World) -> None:
    bad, good = world.contacts(2)
    [first] = world.messages([bad], content={"subject": "{{", "text": "t"})
    [second] = world.messages([good], step=2)
    [third] = world.messages([good], step=3, content={"text": "no subject"})
    [fourth] = world.messages([good], step=4)
    world.execute("update delivery.messages set content_id = 0 where id = :id", id=fourth)
    assert world.send() == SendingReport(claimed=4, sent=1, failed=3)
    assert world.state(first) == (
        "failed",
        "Its subject cannot be filled in: unexpected 'end of template'.",
    )
    assert world.state(second) == ("sent", None)
    assert world.state(third) == ("failed", "It cannot be written (KeyError: 'subject').")
    assert world.state(fourth) == ("failed", "Row 0 of delivery.contents holds no content.")


def test_a_template_that_asks_for_too_much_fails_alone(world: World) -> None:
    [large] = world.contacts(1, attributes={"large": "x" * 30_000, "list": [0] * 10_000})
    [small] = world.contacts(1)
    loop = "{% for item in list %}{{ large }}{% endfor %}"
    contents = [
        {"subject": "s", "text": loop},
        {"subject": "s", "text": "{% for letter in large %}{{ letter }}{% endfor %}"},
        {"subject": "s", "text": "{% if 1 %}" * 500 + "{% endif %}" * 500},
    ]
    numbers = [
        world.messages([large], step=step, content=content)[0]
        for step, content in enumerate(contents, start=1)
    ]
    [other] = world.messages([small], step=1, content=contents[0])
    assert world.send() == SendingReport(claimed=4, sent=1, failed=3)
    assert [world.state(number) for number in numbers] == [
        ("failed", f"Its text cannot be filled in: {reason}.")
        for reason in (
            "it is longer than 1,000,000 characters",
            "a loop goes over lists, not over text",
            "it is nested deeper than 30 levels",
        )
    ]
    assert world.state(other) == ("sent", None)
    assert [path.name for path in files()] == [f"{other}.eml"], "no mail is sent in part"


def test_a_message_of_an_application_needs_no_program(world: World) -> None:
    world.messages(world.contacts(1))
    world.execute("update delivery.messages set program_kind = null, program_id = null")
    assert world.send() == SendingReport(claimed=1, sent=1)


PROGRAMS: dict[str, tuple[str, str | None]] = {
    "active": ("sent", None),
    "completed": ("sent", None),
    "paused": ("queued", None),
    "draft": ("queued", None),
    "scheduled": ("queued", None),
    "imported": ("queued", None),
    "cancelled": ("suppressed", "its campaign was cancelled"),
}


def test_a_message_goes_the_way_of_its_program(world: World) -> None:
    [contact] = world.contacts(1)
    numbers = {}
    for step, status in enumerate(PROGRAMS):
        program = world.another_program(status, status)
        [numbers[status]] = world.messages([contact], step=step, program=program)
    assert world.send() == SendingReport(claimed=3, sent=2, suppressed=1)
    assert {status: world.state(number) for status, number in numbers.items()} == PROGRAMS
    untouched = "select distinct attempts, claim from delivery.messages where state = 'queued'"
    assert world.rows(untouched) == [(0, 0)]


@pytest.mark.parametrize("kind", ["sequence", "journey"])
def test_so_do_those_of_sequences_and_journeys(engine: sa.Engine, kind: str) -> None:
    world = World(engine, kind)
    first, second = world.messages(world.contacts(2))
    world.set_status("paused")
    assert world.send() == SendingReport()
    world.set_status("active")
    assert world.send(limit=1) == SendingReport(claimed=1, sent=1)
    world.set_status("cancelled")
    assert world.send() == SendingReport(claimed=1, suppressed=1)
    assert [world.state(first)[0], world.state(second)] == [
        "sent",
        ("suppressed", f"its {kind} was cancelled"),
    ]


def test_the_messages_of_a_program_that_is_gone_end(world: World) -> None:
    [number] = world.messages(world.contacts(1))
    world.execute("delete from campaigns.campaigns")
    world.send()
    assert world.state(number) == ("suppressed", "its campaign was deleted")


# 12, 29
@pytest.mark.fault(29)
def test_messages_that_cannot_go_do_not_hide_those_behind_them(world: World) -> None:
    world.messages(world.contacts(20), program=world.another_program("paused", "paused"))
    silent = world.contacts(20, email=None)
    world.messages(silent)
    world.messages(world.contacts(3), step=2, due_at=NOW + MINUTE)
    reports = [world.send(now=NOW + MINUTE, limit=10) for _ in range(4)]
    assert [(report.sent, report.suppressed) for report in reports] == [
        (0, 10), (0, 10), (3, 0), (0, 0),
    ]  # fmt: skip
    paused = "select distinct state, claim, attempts from delivery.messages where state = 'queued'"
    assert world.rows(paused) == [("queued", 0, 0)], "nobody touched what is paused"


def test_a_program_paused_after_the_claim_keeps_its_messages(pooled_engine: sa.Engine) -> None:
    world = World(pooled_engine)
    numbers = world.messages(world.contacts(3))
    # The claim itself pauses it, so that it is paused when the messages are looked at.
    world.execute(
        "create function pause() returns trigger language plpgsql as $$ begin"
        " if exists (select from touched where state = 'claimed') then"
        " update campaigns.campaigns set status = 'paused'; end if; return null; end $$;"
        " create trigger pause after update on delivery.messages referencing new table as touched"
        " for each statement execute function pause()"
    )
    assert world.send() == SendingReport(claimed=3, returned=3)
    assert world.rows("select id, state, attempts, leased_until from delivery.messages") == [
        (number, "queued", 0, None) for number in numbers
    ]
    assert files() == []


def test_a_worker_that_was_killed_leaves_its_messages_to_the_next(world: World) -> None:
    world.messages(world.contacts(2))
    claim(world)
    assert world.send(now=NOW + LEASE - dt.timedelta(microseconds=1)) == SendingReport()
    assert world.send(now=NOW + LEASE) == SendingReport(claimed=2, sent=2)
    assert world.rows("select distinct attempts, claim from delivery.messages") == [(2, 2)]


# 5
def test_a_worker_that_wakes_up_after_its_lease_cannot_settle(world: World) -> None:
    numbers = world.messages(world.contacts(3))

    class Slow(Outbox):
        def send(self, message: Rendered) -> None:
            """Sleeps at the second message for so long that another worker does them all."""
            if message.id == numbers[1]:
                other = world.send(now=NOW + LEASE)
                assert other == SendingReport(claimed=3, sent=3)
            super().send(message)

    assert world.send(transport=Slow(outbox())) == SendingReport(claimed=3, lost=3)
    assert world.rows("select distinct state, claim, sent_at from delivery.messages") == [
        ("sent", 2, NOW + LEASE)
    ]
    assert len(files()) == 3


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_stopping_worker_finishes_one_message_and_queues_the_rest_again(
    world: World, repeatable: bool
) -> None:
    numbers = world.messages(world.contacts(4))
    transport = Recorder(repeatable=repeatable)
    stopped = send_batch(
        world.engine.begin,
        "email",
        transport,
        open_marking=lambda: committing_each(world.engine),
        clock=lambda: NOW,
        should_return=lambda: len(transport.taken) == 2,
    )
    assert stopped == SendingReport(claimed=4, sent=2, returned=2)
    assert world.rows("select state, attempts from delivery.messages order by id") == [
        ("sent", 1), ("sent", 1), ("queued", 0), ("queued", 0),
    ]  # fmt: skip
    assert world.send(transport=transport) == SendingReport(claimed=2, sent=2)
    assert [message.id for message in transport.taken] == numbers


def test_a_transport_in_trouble_keeps_what_it_sent_and_gives_the_rest_back(world: World) -> None:
    numbers = world.messages(world.contacts(4))
    transport = Recorder(breaks_at={numbers[2]}, repeatable=True)
    with pytest.raises(ConnectionResetError):
        world.send(transport=transport)
    assert world.rows("select state, attempts from delivery.messages order by id") == [
        ("sent", 1), ("sent", 1), ("queued", 0), ("queued", 0),
    ]  # fmt: skip
    transport.breaks_at.clear()
    assert world.send(transport=transport) == SendingReport(claimed=2, sent=2)
    assert [message.id for message in transport.taken] == numbers


def test_what_cannot_be_repeated_is_unknown_when_it_broke_and_is_not_sent_again(
    world: World,
) -> None:
    numbers = world.messages(world.contacts(4))
    transport = Recorder(breaks_at={numbers[1]})
    with pytest.raises(ConnectionResetError):
        world.send(transport=transport)
    assert world.states() == [
        ("sent", None),
        ("unknown", "It is unknown whether it was taken: ConnectionResetError."),
        ("queued", None),
        ("queued", None),
    ]
    transport.breaks_at.clear()
    assert world.send(transport=transport, now=NOW + LEASE) == SendingReport(claimed=2, sent=2)
    assert [message.id for message in transport.taken] == [numbers[0], *numbers[2:]]


@pytest.mark.fault(3)
def test_what_cannot_be_repeated_is_unknown_when_its_worker_died_while_it_was_sent(
    world: World,
) -> None:
    world.messages(world.contacts(2))
    first, _second = claim(world)
    world.execute(
        "insert into delivery.handovers (message_id, claim, leased_until)"
        " values (:id, :claim, :until)",
        id=first.id,
        claim=first.claim,
        until=NOW + LEASE,
    )
    transport = Recorder()
    assert world.send(transport=transport) == SendingReport()
    assert world.send(transport=transport, now=NOW + LEASE) == SendingReport(claimed=1, sent=1)
    assert [state for state, _ in world.states()] == ["unknown", "sent"]
    assert world.audience() == {"email": Audience(sent=1, skipped=0, failed=0, remaining=1)}


def test_what_a_transport_prepared_is_given_only_if_the_contact_still_gets_it(world: World) -> None:
    contacts = world.contacts(3)
    numbers = world.messages(contacts)
    written: list[int] = []

    class Writing(Recorder):
        def prepare(self, message: Rendered) -> Callable[[], None]:
            """Writes it; while the first is given, the second contact leaves."""
            written.append(message.id)
            return lambda: self.send(message)

        def send(self, message: Rendered) -> None:
            super().send(message)
            if message.id == numbers[0]:
                world.suppress(contacts[1], "email")

    transport = Writing()
    assert world.send(transport=transport) == SendingReport(claimed=3, sent=2, suppressed=1)
    assert written == numbers
    assert [message.id for message in transport.taken] == [numbers[0], numbers[2]]


def test_what_cannot_be_repeated_is_noted_before_it_is_sent(world: World) -> None:
    world.messages(world.contacts(2))
    seen: list[list[Any]] = []

    class Looking(Recorder):
        def send(self, message: Rendered) -> None:
            """Sees what others see meanwhile."""
            seen.append(
                world.rows(
                    "select message_id, ended ->> 'state' from delivery.handovers order by 1"
                )
            )
            super().send(message)

    assert world.send(transport=Looking()) == SendingReport(claimed=2, sent=2)
    assert seen == [[(1, None)], [(1, "sent"), (2, None)]]
    assert world.rows("select * from delivery.handovers") == []


def test_what_cannot_be_repeated_is_not_sent_once_the_claim_is_lost(world: World) -> None:
    numbers = world.messages(world.contacts(2))

    class Slow(Recorder):
        def send(self, message: Rendered) -> None:
            """Another worker takes what is claimed while the first is sent."""
            super().send(message)
            if message.id == numbers[0]:
                assert world.send(now=NOW + 2 * LEASE).sent == 1

    transport = Slow()
    assert world.send(transport=transport) == SendingReport(claimed=2, lost=2)
    assert [message.id for message in transport.taken] == [numbers[0]]
    assert [state for state, _ in world.states()] == ["unknown", "sent"]


def test_the_end_of_a_lost_claim_is_not_that_of_the_next_one(world: World) -> None:
    world.messages(world.contacts(2))

    class Slow(Recorder):
        def send(self, message: Rendered) -> None:
            """Another worker has the first message by the time that the second begins."""
            super().send(message)
            if len(self.taken) == 1:
                world.execute("update delivery.messages set claim = 2 where id = 1")
                world.execute("update delivery.handovers set claim = 2 where message_id = 1")

    assert world.send(transport=Slow()) == SendingReport(claimed=2, sent=1, lost=1)
    assert world.rows("select message_id, claim, ended from delivery.handovers") == [(1, 2, None)]


def test_a_marked_end_that_cannot_be_written_makes_its_own_message_unknown(world: World) -> None:
    world.messages(world.contacts(3))

    class Dying(Recorder):
        def send(self, message: Rendered) -> None:
            """The process ends while it hands over the third."""
            super().send(message)
            if len(self.taken) == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.send(transport=Dying())
    world.execute(
        "update delivery.handovers set ended = jsonb_set(ended, '{refusals}', '99999')"
        " where message_id = 1"
    )
    with world.begin() as connection:
        handovers.recover(connection, "email", NOW + LEASE)
    assert world.states() == [
        ("unknown", "Its end cannot be written: NumericValueOutOfRange."),
        ("sent", None),
        ("unknown", handovers.WORKER_DIED),
    ]


def test_what_is_being_sent_is_given_up_by_nobody_however_slow_the_batch_is(world: World) -> None:
    """Each message has the whole lease from when it is begun; those that are not go to others."""
    world.messages(world.contacts(3))
    times = [NOW]

    class Slow(Recorder):
        def send(self, message: Rendered) -> None:
            """Takes most of a lease, and another worker looks in meanwhile."""
            times.append(times[-1] + LEASE * 0.9)
            with world.begin() as connection:
                handovers.recover(connection, "email", times[-1])
            super().send(message)

    transport = Slow()
    report = world.send(transport=transport, clock=lambda: times[-1])
    assert report == SendingReport(claimed=3, sent=1, lost=2), "another settled the first"
    assert world.rows("select state, sent_at from delivery.messages order by id") == [
        ("sent", times[1]), ("sent", times[2]), ("queued", None),
    ]  # fmt: skip


def test_a_message_that_the_transport_refuses_fails_alone(world: World) -> None:
    numbers = world.messages(world.contacts(2))

    class Refusing(Recorder):
        def send(self, message: Rendered) -> None:
            """Refuses the first."""
            if message.id == numbers[0]:
                raise MessageError("The provider knows no such address.")
            super().send(message)

    assert world.send(transport=Refusing()) == SendingReport(claimed=2, sent=1, failed=1)
    assert world.states() == [("failed", "The provider knows no such address."), ("sent", None)]


@pytest.mark.fault(30)
def test_every_message_is_counted_once_whatever_is_done_to_the_campaign(world: World) -> None:
    quiet = world.contacts(6, email=None)
    world.messages(world.contacts(30) + quiet)
    bad = {"subject": "{{", "text": "t"}
    world.messages(world.contacts(4), step=2, content=bad)
    world.messages(world.contacts(5), "sms")
    everything = {"email": 40, "sms": 5}
    seen: list[tuple[int, int, int, int]] = []

    def check() -> None:
        counted = world.audience()
        assert {channel: count.total for channel, count in counted.items()} == everything
        mails = counted["email"]
        seen.append((mails.sent, mails.skipped, mails.failed, mails.remaining))

    steps: list[Callable[[], object]] = [
        lambda: world.send(limit=10),
        lambda: world.set_status("paused"),
        lambda: world.send(limit=10),
        lambda: world.set_status("active"),
        # A worker that is killed after its claim, and the next one after its lease.
        lambda: claim(world),
        lambda: world.send(),
        lambda: world.send(limit=25, now=NOW + LEASE),
        lambda: world.set_status("cancelled"),
        lambda: world.send(now=NOW + LEASE),
        lambda: world.send("sms", now=NOW + LEASE),
    ]
    check()
    for step in steps:
        step()
        check()
    assert seen == [
        (0, 0, 0, 40),
        (10, 0, 0, 30),
        (10, 0, 0, 30),
        (10, 0, 0, 30),
        (10, 0, 0, 30),
        (10, 0, 0, 30),
        (10, 0, 0, 30),
        (30, 5, 0, 5),
        (30, 5, 0, 5),
        (30, 10, 0, 0),
        (30, 10, 0, 0),
    ]
    assert world.audience()["sms"] == Audience(sent=0, skipped=5, failed=0, remaining=0)
    assert len(files()) == 30


# 30
@pytest.mark.fault
def test_an_edited_step_does_not_change_what_is_queued(world: World) -> None:
    step = world.value(
        "insert into lifecycle.steps (organization_id, program_kind, program_id, external_id,"
        " position, type, config) values (:organization, 'campaign', :program, 'hello', 1,"
        ' \'send_email\', \'{"subject": "old", "text": "t"}\') returning id',
        organization=world.organization,
        program=world.program,
    )

    def config() -> dict[str, Any]:
        found: dict[str, Any] = world.value("select config from lifecycle.steps")
        return found

    first, second, third = world.contacts(3)
    early, late = world.messages([first, second], step=step, content=config())
    world.send(limit=1)
    world.execute('update lifecycle.steps set config = config || \'{"subject": "new"}\'')
    [after] = world.messages([third], step=step, content=config())
    world.send()
    assert [mail(number)["Subject"] for number in (early, late, after)] == ["old", "old", "new"]


def test_a_program_without_messages_has_no_audience(world: World) -> None:
    world.messages(world.contacts(1), program=world.another_program("other"))
    assert world.audience() == {}


def test_every_content_of_these_tests_is_what_a_step_may_say() -> None:
    for channel, content in CONTENTS.items():
        steps.parse(f"send_{channel}", content)


@pytest.mark.parametrize("repeatable", [True, False])
def test_an_unforeseen_error_of_one_message_is_the_failure_of_its_attempts_alone(
    world: World, repeatable: bool
) -> None:
    contacts = world.contacts(2)
    [broken] = world.messages(contacts[:1], content={"subject": "s", "text": 5})
    world.messages(contacts[1:])
    transport, now = Recorder(repeatable=repeatable), NOW
    assert world.send(transport=transport) == SendingReport(claimed=2, sent=1, deferred=1)
    for wait in (2, 4):
        now += dt.timedelta(seconds=wait)
        world.send(transport=transport, now=now)
    state, reason = world.state(broken)
    assert state == "failed"
    assert str(reason).startswith("It cannot be prepared (AttributeError: ")
    assert world.rows("select * from delivery.handovers") == []


def test_what_postgresql_cannot_store_of_an_answer_does_not_keep_a_batch_from_settling(
    world: World,
) -> None:
    numbers = world.messages(world.contacts(3))

    class Odd(Recorder):
        def send(self, message: Rendered) -> str | None:  # type: ignore[override]
            """Answers with a zero byte and half a character."""
            super().send(message)
            if message.id == numbers[0]:
                raise BouncedError("550 \0 \ud800", "hard")
            return "a\0b"

    assert world.send(transport=Odd()) == SendingReport(claimed=3, sent=2, bounced=1)
    assert world.rows("select reason, provider_message_id from delivery.messages order by id") == [
        ("550 \ufffd ?", None), (None, "a\ufffdb"), (None, "a\ufffdb"),
    ]  # fmt: skip


def test_a_bounce_holds_for_the_next_message_of_the_same_batch(world: World) -> None:
    first, *_ = world.contacts(2, email="ann@example.org")
    world.messages([first], step=1)
    world.messages([first], step=2)

    class Bouncing(Recorder):
        def send(self, message: Rendered) -> None:
            """Refuses everybody for good."""
            raise BouncedError("550 5.1.1 unknown", "hard")

    assert world.send(transport=Bouncing()) == SendingReport(claimed=2, bounced=1, suppressed=1)
