"""Whole mailboxes through everything that happens to them: nothing lost, nothing twice."""

import datetime as dt
import itertools
import json
import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines.domains.inbox.mails import read_mail
from marketing_pipelines_tests.cli.console import start
from marketing_pipelines_tests.inbox.imap_server import ServedFolder
from marketing_pipelines_tests.inbox.world import ANNA, BEN, FIVE_MINUTES, TICK, Mailboxes, mail
from marketing_pipelines_tests.journeys.test_event_entries import entries
from marketing_pipelines_tests.programs import Programs
from marketing_pipelines_tests.queueing.consuming import consume
from marketing_pipelines_tests.scale import SOAK, soak_only
from marketing_pipelines_tests.waiting import until

MAILS = 5_000 if SOAK else 60
KILLS = 20 if SOAK else 1
DROPS_AFTER = 200 if SOAK else 30
# Mails of a large mailbox, and those of them before its cut-off.
LARGE, OLD = (50_000, 30_000) if SOAK else (60, 36)
JOB = "inbox/email_messages"
DAY = dt.timedelta(days=1)


def samples() -> list[bytes]:
    """Mails of the shared samples; none where they are absent."""
    folder = Path(__file__).resolve().parents[3] / "shared/data/email/samples"
    read = (path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    # A few have the same identity and other texts: the one that is read first would be stored.
    return list({read_mail(one).identity: one for one in read}.values())


def conversation(number: int) -> bytes:
    """One of many mails: to and fro, some without Message-ID, some naming an earlier one."""
    sender, to = (BEN, ANNA) if number % 3 else (ANNA, BEN)
    names = {"In-Reply-To": f"<m{number - 7}@client.example>"} if number % 5 == 0 else None
    date = TICK - DAY * 20 + dt.timedelta(minutes=number)
    return mail(
        number, sender=sender, to=to, headers=names, message_id=None if number % 11 == 0 else "",
        date=f"{date:%d} Feb 2026 {date:%H:%M:%S} +0000",
    )  # fmt: skip


def stored(world: Mailboxes) -> tuple[Any, ...]:
    """Everything that does not depend on the order of reading."""
    mails = world.rows(
        "select mail.identity, mail.subject, mail.text, mail.direction, root.identity,"
        " array(select email from crm.contacts where id = any(mail.contact_ids) order by 1)"
        " from inbox.email_messages as mail"
        " join inbox.email_messages as root on root.id = mail.thread_id order by 1"
    )
    places = world.rows(
        "select folder, uidvalidity, uid, identity from inbox.message_places as place"
        " left join inbox.email_messages as mail on mail.id = place.message_id order by 1, 2, 3"
    )
    return mails, places


def forget(world: Mailboxes) -> None:
    """Removes everything that was read."""
    world.execute("truncate inbox.email_messages, inbox.cursors, inbox.mailboxes cascade")
    world.execute("truncate crm.activities cascade")


def ticks() -> Iterator[dt.datetime]:
    return (TICK + number * FIVE_MINUTES for number in itertools.count(1))


def read_to_the_end(world: Mailboxes, at: Iterator[dt.datetime], *gone: str) -> None:
    for _ in range(20):
        done = world.sync(next(at))
        rows = world.rows(
            "select bool_and(complete) from inbox.cursors where folder <> all(:gone)",
            gone=list(gone),
        )
        if done["ok"] == 1 and rows == [(True,)]:
            return
    raise AssertionError((done, world.state("imap"), world.cursors()))


@pytest.mark.fault(37)
@pytest.mark.soak
def test_nothing_is_lost_or_doubled_whatever_happens(world: Mailboxes) -> None:
    everything = [*samples(), *(conversation(number) for number in range(MAILS))]
    random.Random(7).shuffle(everything)
    world.server.folders["Later"] = ServedFolder()
    for one in everything:
        world.receive(one, folder="INBOX" if len(one) % 4 else "Later", at=TICK - DAY)
    senders = {read_mail(one).from_address for one in everything} - {None, ANNA, BEN}
    world.contacts(*({"email": one} for one in sorted(map(str, senders))))
    world.connect_anna(folders=["INBOX", "Later"])
    at = ticks()
    read_to_the_end(world, at)
    undisturbed, places = stored(world)
    identities = {read_mail(one).identity for one in everything if BEN.encode() in one}
    assert {row[0] for row in undisturbed} >= identities
    assert len(places) == len(everything)

    forget(world)
    world.server.drops_after = DROPS_AFTER
    luck = random.Random(11)
    for kill in range(KILLS):
        world.server.given = 0
        reached = luck.randrange(2 * len(everything) // KILLS)
        started = next(at).isoformat()
        with start("run", JOB, "--at", started) as one, start("run", JOB, "--at", started) as two:
            until(
                lambda reached=reached, one=one, two=two: (
                    world.server.given > reached
                    or (one.poll() is not None and two.poll() is not None)
                ),
                what="some mails to be read",
                seconds=120,
            )
            for process in (one, two):
                process.send_signal(signal.SIGKILL)
        if kill == KILLS // 2:
            world.server.folders["INBOX"].renumber()
            moved = world.server.folders["INBOX"].mails.pop(0)
            world.receive(moved.raw, folder="Later", at=moved.received_at)
            world.server.folders["Latest"] = world.server.folders.pop("Later")
            world.connect_anna(folders=["INBOX", "Latest"])
    read_to_the_end(world, at, "Later")
    mails, places = stored(world)
    assert mails == undisturbed
    now = [place for place in places if place[0] != "Later"]
    assert len(now) == len(everything)
    # Kills leave raw mail that no row names; the next run removes it.
    world.sync(next(at))
    folder = world.installation.settings.data_dir / "files"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.eml")} == {
        path for (path,) in world.rows("select raw_path from inbox.email_messages")
    }


def peak_of_run(world: Mailboxes, at: dt.datetime) -> float:
    """The peak memory of a run in a process of its own, in MB."""
    with start("run", JOB, "--at", at.isoformat()) as process:
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    [(peak,)] = world.rows("select rss_peak_mb from ops.job_sessions where job = :job"
                           " order by id desc limit 1", job=JOB)  # fmt: skip
    return float(peak)


@soak_only
@pytest.mark.soak
def test_large_mails_take_little_memory(world: Mailboxes) -> None:
    world.connect_anna()
    idle = peak_of_run(world, TICK)
    line = b"Q" * 76 + b"\r\n"
    for number in range(5_000):
        if number % 500 == 250:
            kind = {
                "Content-Type": "application/octet-stream",
                "Content-Transfer-Encoding": "base64",
            }
            head = mail(number, headers=kind).partition(b"\r\n\r\n")[0]
            world.receive(head + b"\r\n\r\n" + line * (20_000_000 // len(line)))
        else:
            world.receive(mail(number))
    busy = max(peak_of_run(world, TICK + number * FIVE_MINUTES) for number in range(1, 4))
    assert world.rows("select count(*) from inbox.email_messages") == [(5_000,)]
    print(f"idle {idle} MB, busy {busy} MB")
    assert busy - idle <= 200


def started_by_mail(world: Mailboxes) -> tuple[Programs, int]:
    """An active journey that a mail of a contact starts and that sends one."""
    programs = Programs(world.installation, world.organizations["acme"])
    number = programs.program("journey", "hello")
    content = json.dumps({"subject": "Hello", "text": "Hello"})
    programs.step("journey", number, "hello", "send_email", config=content)
    programs.trigger("journey", number, "event", event_type="email.received", policy="once")
    return programs, number


@pytest.mark.soak
def test_a_large_mailbox_stores_what_it_should_and_has_no_effects(world: Mailboxes) -> None:
    programs, journey = started_by_mail(world)

    def put(numbers: Sequence[int], at: dt.datetime) -> None:
        for number in numbers:
            sender = (BEN, "x@news.spam.example", "stranger@else.example")[number % 3]
            date = f"{at:%d %b %Y %H:%M:%S} +0000"
            world.receive(mail(number, sender=sender, headers={"Cc": BEN}, date=date), at=at)

    def entered(now: dt.datetime) -> list[tuple[str, int, str | None]]:
        consume(world.installation.engine, "workflow-bridge")
        entries(programs, now)
        return programs.entered("journey", journey)

    put(range(OLD), TICK - 31 * DAY)
    put(range(OLD, LARGE), TICK - 3 * DAY)
    world.connect_anna(exclude=["spam.example"])
    at = ticks()
    read_to_the_end(world, at)
    wanted = {f"Mail {number}" for number in range(OLD, LARGE) if number % 3 != 1}
    assert set(world.subjects()) == wanted
    events = "select count(*) from ops.bus_events where type like 'email.%'"
    assert world.rows(events) == [(0,)]
    assert entered(next(at)) == []
    for table in ("lifecycle.enrolments", "delivery.messages", "crm.notifications"):
        assert world.rows(f"select count(*) from {table}") == [(0,)]
    # The bus dates what it brings by the clock, months after these ticks.
    world.execute(
        """update crm.organizations set settings = '{"triggers": {"latest_event_hours": 8760}}'"""
    )
    later = range(LARGE, LARGE + 9)
    for number in later:
        put([number], TICK)
        world.sync(next(at))
    wanted |= {f"Mail {number}" for number in later if number % 3 != 1}
    assert sorted(world.subjects()) == sorted(wanted)
    # Three of the nine new mails are from the contact; three are of others to it. The journey was
    # ready all the time.
    assert world.rows(events) == [(3,)]
    assert [name for name, *_ in entered(next(at))] == ["ben"]
