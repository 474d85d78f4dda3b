"""Dates of follow-ups: one task and one notification for each value, never before it has come."""

import pytest

from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.leads.crm import DAY, INSTANT, TICK, Crm

JOB = "leads/follow_ups"


@pytest.fixture
def crm(shared_installation: Installation) -> Crm:
    return Crm(shared_installation)


def test_a_date_that_has_come_is_a_task_and_a_notification_once(crm: Crm) -> None:
    owner, admin = crm.add("users", "una"), crm.add("users", "ada", role="admin")
    own = {"first_name": "Ann", "last_name": "Lee", "owner_id": owner}
    ann = crm.contact("ann", **own, next_follow_up_at=TICK, follow_up_note="Ask about the roof.")
    bob = crm.contact("bob", email="bob@example.org", next_follow_up_at=TICK - 5 * DAY)
    crm.contact("cy", next_follow_up_at=TICK + INSTANT)
    crm.contact("dot")
    crm.run(JOB)
    before = crm.hash()
    for at in (TICK, TICK - DAY):
        crm.run(JOB, at)
        assert crm.hash() == before
    assert crm.rows("select title, contact_id, owner_id, due_at from crm.tasks order by id") == [
        ("Follow up with Ann Lee", ann, owner, TICK),
        ("Follow up with bob@example.org", bob, None, TICK - 5 * DAY),
    ]
    assert crm.rows(
        "select user_id, kind, title, text, ref from crm.notifications order by contact_id"
    ) == [
        (
            owner,
            "follow_up",
            "Follow up with Ann Lee",
            "The follow-up was set for 2026-03-10 02:00 UTC. Ask about the roof.",
            f"contact:{ann}",
        ),
        (
            admin,
            "follow_up",
            "Follow up with bob@example.org",
            "The follow-up was set for 2026-03-05 02:00 UTC."
            " It has no active owner, so all admins get this.",
            f"contact:{bob}",
        ),
    ]


def test_a_new_date_is_another_follow_up(crm: Crm) -> None:
    crm.add("users", "ada", role="admin")
    crm.contact("ann", next_follow_up_at=TICK - DAY)
    crm.run(JOB)
    crm.installation.execute("update crm.contacts set next_follow_up_at = :at", at=TICK + DAY)
    for at in (TICK, TICK + DAY, TICK + 2 * DAY):
        crm.run(JOB, at)
    for table in ("crm.tasks", "crm.notifications"):
        assert crm.rows(f"select created_at from {table} order by 1") == [(TICK,), (TICK + DAY,)]


def test_an_organization_with_a_broken_template_stops_alone(crm: Crm) -> None:
    other = crm.insert("crm.organizations", external_id="umbra")
    for own, name in ((crm.organization, "ann"), (other, "zoe")):
        crm.insert("crm.users", organization_id=own, external_id="ada", role="admin")
        crm.contact(name, organization_id=own, next_follow_up_at=TICK)
    content = {"organization_id": crm.organization, "external_id": "notification"}
    crm.insert("delivery.templates", **content, channel="sms", kind="transactional", text="x")
    outcome = crm.run(JOB)
    assert (outcome.status, outcome.rows, outcome.items_failed) == ("COMPLETED", 1, 1)
    assert crm.rows("select title from crm.tasks") == [("Follow up with zoe",)]
