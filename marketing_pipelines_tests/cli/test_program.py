"""`program`: statuses changed by hand, the audience printed, and what is refused."""

import uuid
from collections.abc import Iterator

import pytest

from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.lifecycle.world import TABLES, ProgramWorld, at

MAIL = ("hello", "send_email", {"subject": "Hello", "text": "Hello"})
TEXT = ("text", "send_sms", {"text": "Hello"})


@pytest.fixture
def world(shared_installation: Installation) -> Iterator[ProgramWorld]:
    world = ProgramWorld(shared_installation.engine, name=uuid.uuid4().hex)
    yield world
    world.retire()


def program(world: ProgramWorld, verb: str, kind: str = "campaign", name: str = "welcome") -> str:
    """Runs a command that succeeds; returns its output."""
    done = call_here("program", verb, kind, name, "--organization", world.name)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(world: ProgramWorld, verb: str, kind: str = "campaign", name: str = "welcome") -> str:
    """The sentence of a command that is refused."""
    done = call_here("program", verb, kind, name, "--organization", world.name)
    assert done.returncode > 0
    assert done.stdout == ""
    return done.stderr.removeprefix("marketing-pipelines: ").strip()


def status(world: ProgramWorld, number: int, kind: str = "campaign") -> str:
    return str(world.scalar(f"select status from {TABLES[kind]} where id = :id", id=number))


def test_activation_prints_the_audience_by_channel(world: ProgramWorld) -> None:
    number = world.program([MAIL, TEXT], status="draft")
    people = world.contacts(5)
    world.enrol(number, people, at("03-02 10:00"))
    world.execute("update crm.contacts set email = '' where id = :id", id=people[0])
    world.execute(
        "insert into delivery.suppressions (organization_id, contact_id, channel, reason, since)"
        " values (:organization, :one, 'email', 'unsubscribed', now()),"
        " (:organization, :two, 'all', 'do_not_contact', now())",
        organization=world.organization_id,
        one=people[0],
        two=people[1],
    )
    world.execute("update crm.contacts set email = null where id = :id", id=people[2])
    assert program(world, "activate") == (
        "campaign welcome is active.\n"
        "5 contacts are enrolled.\n"
        "email: 2 of 5 can be written to; 2 suppressed, 1 without address.\n"
        "sms: 4 of 5 can be written to; 1 suppressed, 0 without address.\n"
    )
    assert status(world, number) == "active"
    world.execute(
        "insert into delivery.sending_domains (organization_id, domain, from_address)"
        " values (:organization, 'a.org', 'news@a.org')",
        organization=world.organization_id,
    )
    assert "Under warm-up a.org sends 2 of 2 mails today" in program(world, "activate")
    assert program(world, "activate").startswith("campaign welcome is active already.\n5 contacts")


@pytest.mark.parametrize("kind", sorted(TABLES))
def test_a_program_is_paused_resumed_and_cancelled(world: ProgramWorld, kind: str) -> None:
    number = world.program([MAIL], kind=kind)
    world.enrol(number, world.contacts(1), at("03-02 10:00"), kind=kind)
    assert program(world, "pause", kind) == f"{kind} welcome is paused.\n"
    assert refused(world, "activate", kind) == (
        f"{kind} welcome is paused: activate is for one that is draft, scheduled, imported,"
        " completed or cancelled."
    )
    assert program(world, "resume", kind).startswith(f"{kind} welcome is active.\n1 contact is")
    assert program(world, "cancel", kind) == (
        f"{kind} welcome is cancelled.\nThe next pass ends 1 enrolment.\n"
    )
    assert refused(world, "pause", kind) == (
        f"{kind} welcome is cancelled: pause is for one that is active."
    )
    assert status(world, number, kind) == "cancelled"


def test_a_program_with_a_step_that_cannot_be_done_stays_as_it_is(world: ProgramWorld) -> None:
    misspelt = {"rule": {"attribute": "misspelt", "op": "exists"}}
    number = world.program([("fork", "branch", misspelt), ("a", "wait", {})], status="draft")
    assert refused(world, "activate") == (
        f"Nothing was changed: campaign welcome of {world.name}, step fork: rule.attribute: no"
        " contact has or has had 'misspelt'; 1 more of its steps cannot be done."
    )
    assert status(world, number) == "draft"


def test_activation_says_what_the_warm_up_of_the_domains_of_its_steps_does(
    world: ProgramWorld,
) -> None:
    world.execute(
        "insert into delivery.sending_domains (organization_id, domain, from_address, warmup)"
        " values (:id, 'a.example', 'a@a.example', 'off'), (:id, 'b.example', 'b@b.example',"
        " 'auto')",
        id=world.organization_id,
    )
    world.execute(
        """update crm.organizations set settings = '{"warmup": {"ramp": [2]}}' where id = :id""",
        id=world.organization_id,
    )
    step = {"subject": "s", "text": "t", "from": "b.example", "valid_for": "1h"}
    number = world.program([MAIL, ("b", "send_email", step)], status="draft")
    world.enrol(number, world.contacts(3), at("03-02 10:00"))
    [line] = [line for line in program(world, "activate").splitlines() if "warm-up" in line]
    assert line.startswith("Under warm-up b.example sends 2 of 3 mails today and the last on ")
    assert line.endswith(". 1 of them expires before, by their `valid_for`.")


def test_a_scheduled_campaign_that_is_activated_starts_now(world: ProgramWorld) -> None:
    number = world.program([], status="scheduled", started_at=at("03-02 09:00"))
    assert program(world, "activate") == (
        "campaign welcome is active.\n0 contacts are enrolled.\n"
        "It has no steps, so nothing moves.\n"
    )
    assert world.scalar(
        "select started_at > now() - interval '10 minutes' from campaigns.campaigns where id = :id",
        id=number,
    )
    program(world, "activate")
    program(world, "pause")
    program(world, "resume")
    assert world.rows(
        "select payload ->> 'campaign' from ops.bus_events"
        " where type = 'campaign.started' and organization_id = :organization",
        organization=world.organization_id,
    ) == [("welcome",)]


def test_an_unknown_program_and_an_unknown_kind_are_refused(world: ProgramWorld) -> None:
    assert refused(world, "pause", name="none") == (
        "There is no campaign 'none': give its external id or its number."
    )
    assert refused(world, "pause", "newsletter").startswith(
        "'newsletter' is no kind of program: name "
    )
