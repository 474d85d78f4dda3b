"""`message preview` prints what a contact would get; `message test` sends one marked copy of it."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.delivery.smtp_sink import smtp_sink
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.lifecycle.world import ProgramWorld

PAGE = "<p>Dear {{ first_name }}, see <a href='https://acme.example/a'>this</a></p>"
MAIL = {"subject": "Hello {{ first_name }}", "html": PAGE, "category": "news", "valid_for": "2d"}
STEP = ("--program", "welcome", "--step", "hello")


@pytest.fixture
def world(shared_installation: Installation) -> Iterator[ProgramWorld]:
    world = ProgramWorld(shared_installation.engine, name=uuid.uuid4().hex)
    world.execute(
        "insert into delivery.categories (organization_id, external_id) values (:id, 'news')",
        id=world.organization_id,
    )
    world.execute(
        "insert into delivery.sending_domains (organization_id, domain, from_address, from_name)"
        " values (:id, 'acme.example', 'hello@acme.example', 'Acme')",
        id=world.organization_id,
    )
    world.program(
        [("hello", "send_email", MAIL), ("text", "send_sms", {"text": "Hi {{ source }}"})]
    )
    world.execute(
        "insert into crm.contacts (organization_id, external_id, email, first_name, attributes)"
        """ values (:id, 'ann', 'ann@example.org', 'Ann', '{"source": "fair"}')""",
        id=world.organization_id,
    )
    yield world
    world.retire()


def message(world: ProgramWorld, verb: str, *options: str, **variables: str) -> str:
    """Runs a command that succeeds; returns its output."""
    given = ("--organization", world.name, "--contact", "ann", *options)
    done = call_here("message", verb, *given, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(world: ProgramWorld, *options: str) -> str:
    """The sentence of a preview that is refused."""
    given = ("--organization", world.name, "--contact", "ann", *options)
    done = call_here("message", "preview", *given)
    assert (done.returncode > 0, done.stdout) == (True, "")
    return done.stderr.removeprefix("marketing-pipelines: ").strip()


def test_a_preview_shows_the_headers_and_both_parts(world: ProgramWorld) -> None:
    lines = message(world, "preview", *STEP).splitlines()
    assert lines[0] == (
        f"campaign welcome of {world.name}, step hello: marketing, category news, priority 0,"
        " valid for 2d."
    )
    assert lines[2:5] == [
        "From: Acme <hello@acme.example>", "To: Ann <ann@example.org>", "Subject: Hello Ann",
    ]  # fmt: skip
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines
    text = lines.index("--- text/plain ---")
    assert lines[text + 1] == "Dear Ann, see [this](https://acme.example/a)"
    html = lines.index("--- text/html ---")
    assert lines[html + 1].startswith("<p>Dear Ann, see <a href='https://acme.example/a'>this</a>")
    # The contact's suppression is said, and nothing is written.
    world.execute(
        "insert into delivery.suppressions (organization_id, contact_id, channel, reason, since)"
        " select organization_id, id, 'email', 'unsubscribed', now() from crm.contacts"
        " where organization_id = :id and external_id = 'ann'",
        id=world.organization_id,
    )
    again = message(world, "preview", *STEP, "--to", "me@acme.example").splitlines()
    assert again[1] == "The contact would not get it: unsubscribed."
    assert again[4] == "To: me@acme.example"
    assert world.messages() == {}


def test_a_preview_has_the_attributes_that_the_message_would_have(world: ProgramWorld) -> None:
    to = ("--to", "+41700000001")
    said = message(world, "preview", "--program", "welcome", "--step", "text", *to)
    assert said.splitlines()[-1] == "Hi fair"


def test_a_test_copy_is_marked_and_counted_nowhere(world: ProgramWorld) -> None:
    with smtp_sink() as sink:
        url = {"MARKETING_SMTP_URL": sink.url, "MARKETING_ENV": "production"}
        public = {"MARKETING_PUBLIC_URL": "https://m.acme.example"}
        told = message(
            world, "test", "--template", "welcome", "--to", "me@acme.example", **url, **public
        )
        message(world, "test", *STEP, **url, **public)
    first, second = sink.taken
    assert (first.recipient, str(first.mail["Subject"])) == (
        "me@acme.example",
        f"[Test] Welcome to {world.name}",
    )
    assert (second.recipient, str(second.mail["Subject"])) == (
        "ann@example.org",
        "[Test] Hello Ann",
    )
    assert first.mail["Message-ID"] != second.mail["Message-ID"]
    assert told.splitlines()[1] == "Sent to me@acme.example."
    assert "DKIM-Signature must name list-unsubscribe and list-unsubscribe-post" in told
    assert world.messages() == {}
    assert world.scalar("select count(*) from delivery.warmup_reservations") == 0


def test_without_a_server_a_test_copy_is_a_file(
    world: ProgramWorld,
) -> None:
    told = message(world, "test", *STEP)
    [path] = re.findall(r"the copy is (\S+)\n", told)
    assert b"Subject: [Test] Hello Ann\r\n" in Path(path).read_bytes()


def test_what_cannot_be_previewed_says_why(world: ProgramWorld) -> None:
    assert refused(world) == "Name a --template, or a --program with its --step."
    assert refused(world, "--program", "welcome") == (
        "Name a --template, or a --program with its --step."
    )
    assert refused(world, "--template", "welcom").startswith(
        "template: there is no template 'welcom': the known ones are confirm_subscription, "
    )
    assert refused(world, "--program", "spring", "--step", "a") == (
        "There is no program 'spring': give its external id or its number."
    )
    assert refused(world, "--program", "welcome", "--step", "a") == (
        f"campaign welcome of {world.name} has no step 'a'."
    )
    assert refused(world, "--program", "welcome", "--step", "text") == (
        "The contact has no address for sms: name one with --to."
    )
    world.program([("hello", "send_email", MAIL)], kind="journey")
    assert refused(world, *STEP) == (
        "'welcome' is a campaign and journey: name one of them with --kind."
    )
    assert message(world, "preview", *STEP, "--kind", "journey").startswith("journey welcome of ")
