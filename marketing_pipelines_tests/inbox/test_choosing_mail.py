"""The mail that is stored: contacts, exclusions, internal mail, new contacts, levels of sharing."""

from typing import Any

import pytest

from marketing_pipelines.domains.inbox import synchronizing
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.inbox.imap_server import ServedFolder
from marketing_pipelines_tests.inbox.world import ANNA, BEN, FIVE_MINUTES, TICK, Mailboxes, mail
from marketing_pipelines_tests.upkeep.erased import erase


def others(world: Mailboxes) -> list[tuple[Any, ...]]:
    return world.rows("select email, source from crm.contacts where email <> :ben order by 1",
                      ben=BEN)  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "is_stored"),
    [
        ({"sender": "Ben <BEN@Client.example>"}, True),
        ({"sender": "x@y.example", "headers": {"Cc": BEN}}, True),
        ({"sender": ANNA, "to": BEN}, True),
        ({"sender": "x@y.example"}, False),
        ({"sender": "x@y.example", "headers": {"Reply-To": BEN}}, False),
        ({"sender": BEN, "headers": {"Cc": "eve@spam.example"}}, False),
        ({"sender": BEN, "headers": {"Cc": "eve@news.SPAM.example"}}, False),
        ({"sender": BEN, "headers": {"Cc": "eve@nospam.example"}}, True),
        ({"sender": BEN, "headers": {"Cc": "one@only.example"}}, False),
        ({"sender": BEN, "headers": {"Cc": "two@only.example"}}, True),
        ({"sender": BEN, "headers": {"Cc": "noreply-7@shop.example"}}, False),
        ({"sender": "carl@acme.example", "headers": {"Cc": "dora@eu.acme.example"}}, False),
        ({"sender": "carl@acme.example", "to": BEN}, True),
    ],
)
def test_mail_of_contacts_is_stored_unless_it_is_excluded_or_internal(
    world: Mailboxes, headers: dict[str, Any], is_stored: bool
) -> None:
    world.contacts({"email": "carl@acme.example"}, {"email": "dora@eu.acme.example"})
    world.receive(mail(1, **headers))
    world.connect_anna(
        exclude=["spam.example", "one@only.example", "noreply*@*"], internal=["acme.example"]
    )
    world.sync()
    assert world.subjects() == (["Mail 1"] if is_stored else [])
    assert len(world.places()) == 1


def test_mail_of_an_erased_person_is_not_stored_and_makes_no_contact(world: Mailboxes) -> None:
    world.contacts({"email": "carl@acme.example"})
    world.receive(mail(1), mail(2, sender="carl@acme.example"))
    world.connect_anna(contacts="create_all")
    world.sync()
    assert world.subjects() == ["Mail 1", "Mail 2"]
    erase(world.installation.engine, world.installation.settings, "acme", "ben")
    assert world.subjects() == ["Mail 2"]
    assert [place[-1] for place in world.places()] == [None, "Mail 2"]
    world.receive(mail(3), mail(4, sender="carl@acme.example", headers={"Cc": BEN}))
    world.sync(TICK + FIVE_MINUTES)
    assert world.subjects() == ["Mail 2"]
    assert world.rows("select email from crm.contacts where email ilike 'ben%'") == []


def test_drafts_are_not_stored(world: Mailboxes) -> None:
    world.receive(mail(1, sender=ANNA, to=BEN), mail(2, sender=ANNA, to=BEN))
    world.server.folders["INBOX"].mails[0].flags = "\\Seen \\Draft"
    world.connect_anna()
    world.sync()
    assert world.places() == [("INBOX", 1, 1, None), ("INBOX", 1, 2, "Mail 2")]


def test_exclusions_never_mean_the_mailbox_itself(world: Mailboxes) -> None:
    world.receive(mail(1))
    world.connect_anna(exclude=["acme.example"])
    world.sync()
    assert world.subjects() == ["Mail 1"]


@pytest.mark.parametrize(
    ("chosen", "made"),
    [
        ("existing", []),
        ("create_for_sent", ["new@to.example", "other@cc.example"]),
        ("create_all", ["new@to.example", "other@cc.example", "sender@from.example"]),
    ],
)
def test_contacts_are_made_as_the_connection_says_and_never_by_programs(
    world: Mailboxes, chosen: str, made: list[str]
) -> None:
    world.server.folders["Sent"] = ServedFolder()
    world.receive(
        mail(1, sender=ANNA, to="New <new@to.example>", headers={"Cc": "other@cc.example"}),
        mail(5, sender=ANNA, to="away@auto.example", headers={"Auto-Submitted": "auto-replied"}),
        folder="Sent",
    )
    world.receive(
        mail(2, sender="sender@from.example"),
        mail(3, sender="robot@auto.example", headers={"Auto-Submitted": "auto-replied"}),
        mail(4, sender="list@list.example", headers={"List-Id": "<l.example>"}),
        # Forged: it came from outside.
        mail(6, sender=ANNA, to="forged@to.example"),
    )
    world.connect_anna(contacts=chosen)
    world.sync()
    assert others(world) == [(address, "import") for address in made]
    stored = {"existing": [], "create_for_sent": ["Mail 1"], "create_all": ["Mail 1", "Mail 2"]}
    assert world.subjects() == stored[chosen]
    published = world.rows("select type, payload ->> 'source' from ops.bus_events"
                           " where type = 'contact.created' order by id")  # fmt: skip
    # One of the batch of each folder.
    assert published[1:] == [("contact.created", "import")] * len(stored[chosen])


def test_contacts_are_made_only_of_those_the_owner_of_the_mailbox_wrote_to(
    world: Mailboxes,
) -> None:
    world.connect_anna(address="bob@acme.example")
    world.server.folders["Sent"] = ServedFolder()
    world.receive(
        mail(1, sender="carl@acme.example", to="one@to.example"),
        mail(2, sender="bob@acme.example", to="two@to.example"),
        mail(3, sender=ANNA, to="three@to.example"),
        folder="Sent",
    )
    world.connect_anna(contacts="create_all", internal=["acme.example"])
    world.sync()
    assert others(world) == [("three@to.example", "import")]


def test_on_gmail_the_label_tells_sent_mail_from_forged_mail(world: Mailboxes) -> None:
    world.server.capabilities += " X-GM-EXT-1"
    world.server.folders["All"] = ServedFolder("\\All")
    labels = ['"\\\\Inbox" "UID 7"', '"\\\\Sent" "BODY[] {3}"', "\\Sent", '"Sent" "\\\\SentToo"']
    for number, own in enumerate(labels, 1):
        world.receive(mail(number, sender=ANNA, to=f"n{number}@to.example"), folder="All")
        world.server.folders["All"].mails[-1].labels = own
    world.connect_anna(contacts="create_for_sent")
    world.sync()
    assert others(world) == [("n2@to.example", "import"), ("n3@to.example", "import")]
    assert [place[1:] for place in world.places()] == [
        (1, 1, None), (1, 2, "Mail 2"), (1, 3, "Mail 3"), (1, 4, None),
    ]  # fmt: skip


def test_the_sent_copy_of_a_mail_that_is_stored_already_makes_its_contacts(
    world: Mailboxes,
) -> None:
    copied = mail(1, sender=ANNA, to=f"New <new@to.example>, {BEN}", headers={"Cc": ANNA})
    world.server.folders["Sent"] = ServedFolder()
    world.receive(copied)
    world.receive(copied, folder="Sent")
    world.connect_anna(contacts="create_for_sent")
    assert world.sync()["rows"] == 1
    assert others(world) == [("new@to.example", "import")]
    assert world.rows(
        "select contact.email, direction, subject from crm.activities"
        " join crm.contacts as contact on contact.id = contact_id where kind = 'email' order by 1"
    ) == [(BEN, "out", "Mail 1"), ("new@to.example", "out", "Mail 1")]
    assert world.rows("select cardinality(contact_ids) from inbox.email_messages") == [(2,)]
    read = world.server.given
    world.sync(TICK + FIVE_MINUTES)
    assert world.server.given == read


def test_the_test_of_a_connection_says_that_it_reads_no_sent_mail(world: Mailboxes) -> None:
    world.server.folders["Sent"] = ServedFolder()
    told = {}
    for name in ("INBOX", "Sent"):
        fields = world.server.fields(contacts="create_for_sent", folders=[name])
        told[name] = synchronizing.check(get_settings(), world.connect("imap", **fields))
    assert told == {
        "INBOX": "it reads 'INBOX', and not 'Sent'; it makes no contacts of those the owner writes"
        " to, since none of these is the folder of sent mail",
        "Sent": "it reads 'Sent', and not 'INBOX'",
    }


def test_mail_without_readable_addresses_is_stored_raw_and_marked(world: Mailboxes) -> None:
    world.receive(b"no header at all", mail(2, sender="<<>>"), mail(3))
    world.connect_anna()
    assert world.sync()["rows"] == 3
    rows = world.rows(
        "select malformed, raw_path is not null from inbox.email_messages order by malformed"
    )
    assert rows == [(False, True), (True, True), (True, True)]


def test_the_raw_mail_is_a_file_under_the_hash_of_its_content(world: Mailboxes) -> None:
    world.receive(mail(1))
    world.connect_anna()
    world.sync()
    [(path, digest)] = world.rows("select raw_path, content_hash from inbox.email_messages")
    file = world.installation.settings.data_dir / "files" / path
    assert file.read_bytes() == mail(1)
    assert path.endswith(f"/{digest[:2]}/{digest}.eml")
    assert file.stat().st_mode & 0o077 == 0


def test_mail_older_than_the_raw_days_has_no_file(world: Mailboxes) -> None:
    world.receive(mail(1), at=TICK - 48 * 12 * FIVE_MINUTES)
    world.connect_anna(keep_raw_days=1)
    world.sync()
    assert world.rows("select raw_path, text from inbox.email_messages") == [(None, "Hello 1")]


@pytest.mark.parametrize(
    ("share", "stored"),
    [
        ("metadata", (None, None, None, None, None)),
        ("subject", ("Mail 1", None, None, None, None)),
        ("full", ("Mail 1", "Hello 1", "Hello 1", "Hello 1", True)),
    ],
)
def test_a_connection_shares_metadata_subjects_or_all(
    world: Mailboxes, share: str, stored: tuple[Any, ...]
) -> None:
    world.receive(mail(1))
    world.connect_anna(share=share)
    world.sync()
    assert world.rows(
        "select subject, text, reply, snippet, raw_path is not null or null"
        " from inbox.email_messages"
    ) == [stored]


def test_the_widest_of_several_mailboxes_holds(world: Mailboxes) -> None:
    world.receive(mail(1))
    world.connect_anna(share="metadata")
    world.sync()
    world.server.passwords["bob@acme.example"] = "s3cret"
    world.connect_anna(address="bob@acme.example", share="full")
    assert world.sync(TICK + FIVE_MINUTES)["rows"] == 0
    assert world.rows("select subject, text, share from inbox.email_messages") == [
        ("Mail 1", "Hello 1", "full")
    ]
    assert len(world.places()) == 2
    timeline = "select subject, text from crm.activities where kind = 'email'"
    assert world.rows(timeline) == [("Mail 1", "Hello 1")]
    assert world.rows("select count(*) from ops.bus_events where type like 'email.%'") == [(1,)]


def test_names_of_attachments_are_stored_where_all_is_shared(world: Mailboxes) -> None:
    headers = {
        "Content-Type": "application/pdf",
        "Content-Disposition": 'attachment; filename="salary of eve.pdf"',
    }
    world.receive(mail(1, headers=headers))
    world.connect_anna(share="subject")
    world.sync()
    [(stored,)] = world.rows("select attachments from inbox.email_messages")
    assert [sorted(one) for one in stored] == [["size", "type"]]
    world.server.passwords["bob@acme.example"] = "s3cret"
    world.connect_anna(address="bob@acme.example")
    world.sync(TICK + FIVE_MINUTES)
    [(widened,)] = world.rows("select attachments from inbox.email_messages")
    assert widened == [{**stored[0], "name": "salary of eve.pdf"}]


def test_a_reply_to_one_of_our_messages_is_stored_whoever_sends_it(world: Mailboxes) -> None:
    world.receive(
        mail(
            1,
            sender="x@y.example",
            headers={"In-Reply-To": "<message.7.0123456789abcdef@acme.example>"},
        ),
        mail(2, sender="x@y.example", headers={"References": "<message.8@acme.example>"}),
    )
    world.execute(
        "insert into delivery.messages (id, organization_id, channel, contact_id, address, step_id,"
        " rotation, content_id, queued_at, sent_at, state) overriding system value select 7,"
        " organization_id, 'email', id, email, 1, 1, 0, :at, :at, 'sent' from crm.contacts",
        at=TICK,
    )
    world.connect_anna()
    world.sync()
    assert world.subjects() == ["Mail 1"]


def test_threads_hold_mails_that_name_each_other_under_the_earliest(world: Mailboxes) -> None:
    day = "{:02} Mar 2026 10:00:00 +0000"
    world.receive(
        mail(1, date=day.format(1)),
        mail(2, date=day.format(2), headers={"In-Reply-To": "<m1@client.example>"}),
        mail(3, date=day.format(3)),
        mail(4, date=day.format(4), headers={
            "References": "<m2@client.example> <gone@client.example> <m3@client.example>"}),
        mail(5, date=day.format(5), headers={"References": "<gone@client.example>"}),
    )  # fmt: skip
    world.connect_anna()
    world.sync()
    threads = (
        "select mail.subject, root.subject from inbox.email_messages as mail join"
        " inbox.email_messages as root on root.id = mail.thread_id order by 1"
    )
    assert world.rows(threads) == [
        ("Mail 1", "Mail 1"), ("Mail 2", "Mail 1"), ("Mail 3", "Mail 1"), ("Mail 4", "Mail 1"),
        ("Mail 5", "Mail 5"),
    ]  # fmt: skip
    world.receive(mail("gone", message_id="<gone@client.example>", date=day.format(6)))
    world.sync(TICK + FIVE_MINUTES)
    assert {root for _, root in world.rows(threads)} == {"Mail 1"}


@pytest.mark.parametrize(
    ("sender", "headers"),
    [
        ("mailer-daemon@mx.example", {}),
        ("system@mx.example", {"Return-Path": "<>"}),
        ("system@mx.example", {"X-Original-To": "bounce+7.c0ffee@acme.example"}),
    ],
)
def test_a_mail_that_may_be_a_bounce_is_read_and_stored_only_if_it_is_one(
    world: Mailboxes, sender: str, headers: dict[str, str]
) -> None:
    report = {"Content-Type": 'multipart/report; report-type=delivery-status; boundary="b"'}
    parts = (
        "--b\r\n\r\nIt did not arrive.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; x@y.example\r\n"
        "Action: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
    )
    world.receive(
        mail(1, sender=sender, headers=headers),
        mail(2, sender=sender, headers={**headers, **report}, body=parts),
    )
    world.connect_anna()
    world.sync()
    assert world.places() == [("INBOX", 1, 1, None), ("INBOX", 1, 2, "Mail 2")]
    assert world.rows("select is_bounce from inbox.email_messages") == [(True,)]
