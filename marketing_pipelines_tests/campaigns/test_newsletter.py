"""The weekly newsletter: one message per subscriber and ISO week, whatever is repeated."""

import datetime as dt
import json
import threading
import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.newsletter import (
    NO_TEMPLATE,
    Issue,
    SegmentNotReadyError,
    fill_issue,
    issue_name,
)
from marketing_pipelines.domains.campaigns.tables import CAMPAIGN
from marketing_pipelines.failures import BadInputError
from marketing_pipelines_tests.campaigns import newsletter_child
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at
from marketing_pipelines_tests.scale import SOAK
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

MONDAY, PASS = at("03-02 09:00"), at("03-02 09:05")
NAME = "newsletter-2026-W10"


@pytest.fixture
def world(shared_installation: Installation) -> Iterator[ProgramWorld]:
    """A new organization with a template; no pass looks at it after the test."""
    world = ProgramWorld(shared_installation.engine, name=uuid.uuid4().hex)
    world.execute(
        "insert into delivery.templates (organization_id, external_id, subject, text)"
        " values (:own, 'weekly', 'News', 'Hello')",
        own=world.organization_id,
    )
    settings(world, template="weekly")
    yield world
    world.retire()
    settings(world)


def settings(world: ProgramWorld, **newsletter: str) -> None:
    world.execute(
        "update crm.organizations set settings = cast(:settings as jsonb) where id = :own",
        settings=json.dumps({"newsletter": newsletter} if newsletter else {}),
        own=world.organization_id,
    )


def category(world: ProgramWorld, name: str, mode: str) -> None:
    world.execute(
        "insert into delivery.categories (organization_id, external_id, mode)"
        " values (:own, :name, :mode) on conflict do nothing",
        own=world.organization_id,
        name=name,
        mode=mode,
    )


def subscribe(
    world: ProgramWorld, contacts: list[int], name: str = "newsletter", state: str = "subscribed"
) -> None:
    category(world, name, "opt_in")
    world.execute(
        "insert into delivery.subscriptions (organization_id, contact_id, category_id, state)"
        " select organization_id, contact, id, :state from delivery.categories"
        " cross join unnest(cast(:contacts as bigint[])) as contact"
        " where organization_id = :own and external_id = :name",
        own=world.organization_id,
        contacts=contacts,
        name=name,
        state=state,
    )


def fill(world: ProgramWorld, tick: dt.datetime = MONDAY) -> Issue:
    """Does the job for the organization."""
    with world.engine.begin() as connection:
        organization = connection.execute(
            sa.text("select id, external_id from crm.organizations where id = :own"),
            {"own": world.organization_id},
        ).one()
        return fill_issue(connection, organization, tick.date(), tick)


def enrolled(world: ProgramWorld, name: str = NAME) -> list[int]:
    return [
        row[0]
        for row in world.rows(
            "select contact_id from lifecycle.enrolments as enrolment"
            " join campaigns.campaigns as campaign on campaign.id = enrolment.program_id"
            " where program_kind = 'campaign' and campaign.organization_id = :own"
            " and campaign.external_id = :name order by contact_id",
            own=world.organization_id,
            name=name,
        )
    ]


def test_an_issue_is_an_active_campaign_with_one_mail_to_the_subscribers(
    world: ProgramWorld,
) -> None:
    one, two, _, left, unconfirmed = world.contacts(5)
    subscribe(world, [one, two])
    subscribe(world, [left], state="unsubscribed")
    subscribe(world, [unconfirmed], state="unconfirmed")
    assert fill(world) == Issue(world.name, NAME, 2, "active")
    assert world.rows(
        "select name, status, audience, started_at from campaigns.campaigns"
        " where organization_id = :own",
        own=world.organization_id,
    ) == [("Newsletter 2026-W10", "active", "closed", MONDAY)]
    assert world.rows(
        "select external_id, type, config from lifecycle.steps where organization_id = :own",
        own=world.organization_id,
    ) == [
        (
            "newsletter",
            "send_email",
            {"template": "weekly", "category": "newsletter", "kind": "marketing", "bulk": True},
        )
    ]
    assert enrolled(world) == [one, two]
    world.move(PASS)
    assert world.rows(
        "select contact_id, kind, is_bulk, category.external_id from delivery.messages as message"
        " join delivery.categories as category on category.id = message.category_id"
        " where message.organization_id = :own order by 1",
        own=world.organization_id,
    ) == [(one, "marketing", True, "newsletter"), (two, "marketing", True, "newsletter")]
    assert world.rows(
        "select payload ->> 'campaign' from ops.bus_events"
        " where type = 'campaign.started' and organization_id = :own",
        own=world.organization_id,
    ) == [(NAME,)]


def test_another_run_in_the_week_adds_the_new_subscribers_and_another_week_all(
    world: ProgramWorld,
) -> None:
    one, two = world.contacts(2)
    subscribe(world, [one])
    assert fill(world).added == 1
    assert fill(world) == Issue(world.name, NAME, 0, "active")
    world.move(PASS)
    world.execute(
        "update campaigns.campaigns set status = 'completed' where organization_id = :own",
        own=world.organization_id,
    )
    assert fill(world, at("03-04 12:00")) == Issue(world.name, NAME, 0, "completed")
    subscribe(world, [two])
    assert fill(world, at("03-08 23:59")) == Issue(world.name, NAME, 1, "active")
    world.move(at("03-09 00:05"))
    assert world.messages() == {"newsletter": 2}
    assert fill(world, at("03-09 09:00")) == Issue(world.name, "newsletter-2026-W11", 2, "active")
    world.move(at("03-09 09:05"))
    assert world.messages() == {"newsletter": 4}


def test_the_name_holds_the_iso_year_and_week() -> None:
    days = [dt.date(2026, 2, 23), dt.date(2027, 1, 3), dt.date(2024, 12, 30)]
    assert [issue_name(day) for day in days] == [
        "newsletter-2026-W09", "newsletter-2026-W53", "newsletter-2025-W01",
    ]  # fmt: skip


@pytest.mark.fault
def test_two_runs_at_once_fill_one_issue(world: ProgramWorld) -> None:
    subscribe(world, world.contacts(3))
    issues: list[Issue] = []
    with world.engine.begin() as first:
        organization = first.execute(
            sa.text("select id, external_id from crm.organizations where id = :own"),
            {"own": world.organization_id},
        ).one()
        issues.append(fill_issue(first, organization, MONDAY.date(), MONDAY))
        other = threading.Thread(target=lambda: issues.append(fill(world)))
        other.start()
        until(lambda: waits_for_a_lock(world.engine))
    other.join()
    assert [issue.added for issue in issues] == [3, 0]
    assert len(enrolled(world)) == 3


@pytest.mark.soak
@pytest.mark.fault
def test_a_run_killed_in_its_transaction_and_run_again_sends_one_message_to_each_subscriber(
    world: ProgramWorld,
) -> None:
    subscribe(world, world.contacts(3))
    for statement in range(12 if SOAK else 1):
        killed = Forked(
            newsletter_child.__name__,
            str(world.organization_id), MONDAY.isoformat(), str(statement),
        )  # fmt: skip
        assert killed.wait(120) == -9, statement
        assert enrolled(world) == []
    assert fill(world).added == 3
    assert fill(world).added == 0
    for tick in (PASS, at("03-02 09:10")):
        world.move(tick)
        assert world.messages() == {"newsletter": 3}
    assert world.rows(
        "select count(*), count(distinct contact_id) from delivery.messages"
        " where organization_id = :own",
        own=world.organization_id,
    ) == [(3, 3)]


def test_contacts_with_one_address_get_one_mail(world: ProgramWorld) -> None:
    contacts = world.contacts(2)
    world.execute("update crm.contacts set email = 'a@b.c' where organization_id = :own",
                  own=world.organization_id)  # fmt: skip
    subscribe(world, contacts)
    assert fill(world).added == 2
    world.move(PASS)
    assert world.messages() == {"newsletter": 1}


def test_without_a_template_there_is_no_issue(world: ProgramWorld) -> None:
    settings(world)
    subscribe(world, world.contacts(1))
    assert fill(world) == Issue(world.name, None, 0, NO_TEMPLATE)
    assert (
        world.rows(
            "select 1 from campaigns.campaigns where organization_id = :own",
            own=world.organization_id,
        )
        == []
    )


def test_an_opt_out_category_has_every_contact_that_did_not_leave(world: ProgramWorld) -> None:
    stays, left, of_an_application = world.contacts(3)
    world.execute("update crm.contacts set source = 'api' where id = :id", id=of_an_application)
    category(world, "general", "opt_out")
    subscribe(world, [left], "general", "unsubscribed")
    settings(world, template="weekly", category="general")
    assert fill(world).added == 1
    assert enrolled(world) == [stays]


def test_a_segment_narrows_the_audience_and_is_evaluated_for_it(world: ProgramWorld) -> None:
    member, other = world.contacts(2)
    subscribe(world, [member, other])
    segment = world.scalar(
        "insert into segments.segments (organization_id, external_id, evaluated)"
        " values (:own, 'fans', 'on_use') returning id",
        own=world.organization_id,
    )
    used = "select 1 from lifecycle.used_segments where segment_id = :segment"
    assert world.rows(used, segment=segment) == []
    settings(world, template="weekly", segment="fans")
    assert world.rows(used, segment=segment) == [(1,)]
    with pytest.raises(SegmentNotReadyError, match="was never evaluated"):
        fill(world)
    world.execute(
        "insert into segments.evaluations (segment_id, first_evaluated_at) values (:segment, :at)",
        segment=segment,
        at=MONDAY,
    )
    world.execute(
        "insert into segments.memberships (segment_id, contact_id, entered_at)"
        " values (:segment, :member, :at)",
        segment=segment,
        member=member,
        at=MONDAY,
    )
    assert fill(world).added == 1
    assert enrolled(world) == [member]


WRONG: list[tuple[dict[str, str], str]] = [
    ({"template": "nope"}, "template: there is no template 'nope'"),
    ({"template": "newsletter"}, "the built-in template 'newsletter' says nothing by itself"),
    ({"template": "weekly", "category": "nope"}, "There is no category 'nope': the known ones are"),
    ({"template": "weekly", "segment": "nope"}, "newsletter.segment: there is no segment 'nope'"),
]


@pytest.mark.parametrize(("newsletter", "sentence"), WRONG)
def test_a_name_that_does_not_exist_fails_the_item_and_leaves_nothing(
    world: ProgramWorld, newsletter: dict[str, str], sentence: str
) -> None:
    subscribe(world, world.contacts(1))
    settings(world, **newsletter)
    with pytest.raises(BadInputError, match=sentence):
        fill(world)
    assert (
        world.rows(
            "select 1 from campaigns.campaigns where organization_id = :own",
            own=world.organization_id,
        )
        == []
    )


def test_a_stored_template_that_cannot_be_read_any_more_begins_no_issue(
    world: ProgramWorld,
) -> None:
    subscribe(world, world.contacts(1))
    world.execute(
        "insert into delivery.templates (organization_id, external_id, subject, text)"
        " values (:own, 'broken', 'News', '{% for x in %}')",
        own=world.organization_id,
    )
    settings(world, template="broken")
    with pytest.raises(BadInputError, match="'broken' cannot be used, load it again: text: "):
        fill(world)


@pytest.mark.parametrize(("status", "added"), [("cancelled", 0), ("paused", 1)])
def test_a_decision_by_hand_stands(world: ProgramWorld, status: str, added: int) -> None:
    one, two = world.contacts(2)
    subscribe(world, [one])
    fill(world)
    world.execute(
        "update campaigns.campaigns set status = :status where organization_id = :own",
        status=status,
        own=world.organization_id,
    )
    subscribe(world, [two])
    assert fill(world) == Issue(world.name, NAME, added, status)


def test_an_issue_that_was_prepared_keeps_its_steps(world: ProgramWorld) -> None:
    own = {"subject": "By hand", "text": "Hello", "category": "newsletter"}
    subscribe(world, world.contacts(1))
    program = world.program([("own", "send_email", own)], name=NAME, status="draft")
    assert fill(world) == Issue(world.name, NAME, 1, "active")
    world.move(PASS)
    assert world.messages() == {"own": 1}
    assert world.standing(program) == {"completed": 1}


@pytest.mark.fault
def test_the_job_works_through_all_organizations_and_twice_changes_nothing(
    installation: Installation,
) -> None:
    """One organization has no newsletter, one a template that is not there."""
    worlds = {
        template: ProgramWorld(installation.engine, name=f"of-{template or 'nobody'}")
        for template in ("welcome", None, "nope")
    }
    for template, world in worlds.items():
        subscribe(world, world.contacts(2))
        if template is not None:
            settings(world, template=template)
    for added in (2, 0):
        (outcome,) = installation.run(
            "delivery/newsletter", at=instant("2026-03-02T09:00:00+00:00"), only=True
        )
        assert (outcome.status, outcome.rows, outcome.items_failed) == ("COMPLETED", added, 1)
    assert len(enrolled(worlds["welcome"])) == 2
    assert worlds["welcome"].rows("select item, error from ops.item_failures") == [
        (
            "newsletter of of-nope",
            f"Nothing was changed: campaign {NAME} of of-nope, step newsletter: template: there is"
            " no template 'nope': the known ones are confirm_subscription,"
            " daily_report, export_ready,"
            " newsletter, notification, verification, welcome.",
        )
    ]
    (outcome,) = installation.run(
        CAMPAIGN.moved_by, at=instant("2026-03-02T09:05:00+00:00"), only=True
    )
    assert worlds["welcome"].messages() == {"newsletter": 2}


def test_a_missed_monday_is_left_out_after_six_hours() -> None:
    from marketing_pipelines.domains import load_jobs
    from marketing_pipelines.jobs.domain import DECLARATIONS

    load_jobs()
    declared = DECLARATIONS["delivery/newsletter"]
    assert (declared.policy.cron, declared.policy.catch_up) == ("0 9 * * 1", "skip")
    assert declared.skip_after == dt.timedelta(hours=6)
    assert declared.owner == "team:deliverability"
