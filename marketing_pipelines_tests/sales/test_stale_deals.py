"""Stale deals: exact ages, one task and notification per period, escalated once, then settled."""

import datetime as dt
import json
from typing import Any

import pytest

from marketing_pipelines_tests.sales.world import Sales

JOB = "sales/stale_deals"
TICK = dt.datetime(2026, 3, 31, 9, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
MOMENT = dt.timedelta(microseconds=1)
LONG_AGO = "2026-01-01T00:00:00Z"


def deal(name: str, **columns: Any) -> dict[str, Any]:
    return {
        "external_id": name,
        "name": name.title(),
        "owner_id": "ann",
        "stage": "Proposal",
        "created_at": LONG_AGO,
    } | columns


def activity(name: str, age: dt.timedelta, **columns: Any) -> dict[str, Any]:
    columns = {"kind": "call", "deal_id": name} | columns
    return {
        "external_id": f"{name} {age} {sorted(columns.items())}",
        "occurred_at": (TICK - age).isoformat(),
        **columns,
    }


def found(sales: Sales) -> dict[str, tuple[bool, bool]]:
    """Deals with a period: does it last, is it at risk."""
    return {
        row[0]: row[1:]
        for row in sales.rows(
            "select external_id, ended_at is null, at_risk_at is not null from sales.stale_deals"
            " join crm.deals on deals.id = deal_id"
        )
    }


def notified(sales: Sales) -> list[tuple[Any, ...]]:
    return sales.rows(
        "select users.external_id, kind, title, text from crm.notifications"
        " join crm.users on users.id = user_id order by notifications.id"
    )


def tasks(sales: Sales) -> list[tuple[Any, ...]]:
    return sales.rows(
        "select deals.external_id, title, state, tasks.done_at from crm.tasks"
        " join crm.deals on deals.id = deal_id where job = :job order by tasks.id",
        job=JOB,
    )


@pytest.mark.fault(35)
def test_a_stale_deal_has_one_task_and_notification_and_one_escalation(sales: Sales) -> None:
    sales.load("deals", deal("rollout", amount=50_000, currency="USD"))
    sales.load("activities", activity("rollout", 8 * DAY))
    for day in (0, 1, 2, 12, 22, 23, 29):
        sales.run(JOB, TICK + day * DAY)
    text = "Rollout (Proposal, USD 50,000) has had no e-mail, call, meeting or note for"
    assert notified(sales) == [
        ("ann", "stale_deal", "Deal inactive for 8 days", f"{text} 8 days."),
        (
            "bob",
            "deal_at_risk",
            "Deal at risk: inactive for 31 days",
            f"{text} 31 days. Owner: Ann Lee.",
        ),
    ]
    assert tasks(sales) == [("rollout", "Follow up on stale deal", "open", None)]
    assert sales.rows("select tags from crm.deals") == [(["at-risk"],)]


def test_ages_are_exact_and_windows_half_open(sales: Sales) -> None:
    ages = {
        "seven": 7 * DAY,
        "over-seven": 7 * DAY + MOMENT,
        "thirty": 30 * DAY,
        "over-thirty": 30 * DAY + MOMENT,
    }
    sales.load("deals", *(deal(name) for name in ages))
    sales.load("activities", *(activity(name, age) for name, age in ages.items()))
    sales.run(JOB, TICK)
    assert found(sales) == {
        "over-seven": (True, False),
        "thirty": (True, False),
        "over-thirty": (True, True),
    }


def test_a_day_is_24_hours_across_daylight_saving(sales: Sales) -> None:
    """In Berlin, seven calendar days around 29 March 2026 are 167 hours."""
    seven_days = dt.timedelta(hours=167)
    sales.load("deals", deal("d"))
    sales.load("activities", activity("d", seven_days))
    sales.run(JOB, TICK)
    assert found(sales) == {}
    sales.run(JOB, TICK + dt.timedelta(hours=1))
    assert found(sales) == {}
    sales.run(JOB, TICK + dt.timedelta(hours=1) + MOMENT)
    assert found(sales) == {"d": (True, False)}


def test_what_counts_as_activity(sales: Sales) -> None:
    names = ("email", "call", "meeting", "note", "task", "other", "ahead", "own-contact", "new")
    sales.load("deals", *(deal(name) for name in names[:-2]))
    sales.load("deals", deal("own-contact", contact_id="c1"))
    sales.load("deals", deal("new", created_at=(TICK - 7 * DAY).isoformat()))
    sales.load("deals", deal("won", status="won", closed_at=(TICK - DAY).isoformat()))
    sales.load("deals", deal("other-of-contact"))
    sales.load(
        "activities",
        *(activity(kind, DAY, kind=kind) for kind in names[:6]),
        activity("ahead", -DAY),
        activity("own-contact", DAY, deal_id=None, contact_id="c1", kind="email"),
        activity("other-of-contact", 20 * DAY, contact_id="c1"),
    )
    sales.run(JOB, TICK)
    assert sorted(found(sales)) == ["ahead", "other", "other-of-contact", "task"]


def test_a_planned_meeting_or_task_is_not_silence(sales: Sales) -> None:
    names = (
        "met",
        "meets",
        "cancelled",
        "contact-meets",
        "todo",
        "late",
        "done",
        "own",
        "due-at-tick",
        "made-at-tick",
    )
    sales.load("deals", *(deal(name) for name in names))
    sales.load("deals", deal("contact-meets", contact_id="c1"))
    soon, before = (TICK + DAY).isoformat(), (TICK - 20 * DAY).isoformat()
    meeting = {"title": "Call", "owner_id": "ann"}
    sales.load(
        "meetings",
        meeting | {"external_id": "m1", "starts_at": before, "deal_id": "met"},
        meeting | {"external_id": "m2", "starts_at": TICK.isoformat(), "deal_id": "meets"},
        meeting
        | {"external_id": "m3", "starts_at": soon, "deal_id": "cancelled", "status": "cancelled"},
        meeting | {"external_id": "m4", "starts_at": soon, "attendees": ["john@globex.example"]},
    )
    task = {"title": "Call", "owner_id": "ann", "created_at": LONG_AGO}
    sales.load(
        "tasks",
        task | {"external_id": "t1", "deal_id": "todo", "due_at": soon},
        task | {"external_id": "t2", "deal_id": "late", "due_at": before},
        task | {"external_id": "t4", "deal_id": "due-at-tick", "due_at": TICK.isoformat()},
        task
        | {
            "external_id": "t5",
            "deal_id": "made-at-tick",
            "due_at": soon,
            "created_at": TICK.isoformat(),
        },
        task
        | {
            "external_id": "t3",
            "deal_id": "done",
            "due_at": soon,
            "state": "done",
            "done_at": before,
        },
    )
    sales.run(JOB, TICK)
    silent = ["cancelled", "done", "due-at-tick", "late", "made-at-tick", "met", "own"]
    assert sorted(found(sales)) == silent
    sales.run(JOB, TICK + DAY + MOMENT)
    assert sorted(found(sales)) == [*silent, "todo"]


def test_stages_have_their_own_days_without_case(sales: Sales) -> None:
    days = {"default": 7, "Contract Sent": 40, "on hold": 0}
    sales.load(
        "organizations",
        {"external_id": "acme", "settings": {"deals": {"stale_after_days": days}}},
    )
    stages = {
        "a": "CONTRACT SENT",
        "b": "contract sent",
        "c": "On Hold",
        "d": "Proposal",
        "e": None,
    }
    sales.load("deals", *(deal(name, stage=stage) for name, stage in stages.items()))
    sales.load(
        "activities",
        *(
            activity(name, age * DAY + MOMENT)
            for name, age in zip("abcde", (39, 40, 89, 8, 8), strict=True)
        ),
    )
    sales.run(JOB, TICK)
    assert found(sales) == {"b": (True, True), "d": (True, False), "e": (True, False)}


def test_a_deal_on_hold_is_not_at_risk_and_has_no_open_task(sales: Sales) -> None:
    days = {"default": 7, "on hold": 0}
    sales.load(
        "organizations",
        {"external_id": "acme", "settings": {"deals": {"stale_after_days": days}}},
    )
    sales.load("deals", deal("d"), deal("other"))
    sales.load("activities", activity("d", 31 * DAY), activity("other", 31 * DAY))
    wanted = "select external_id, tags from crm.deals order by 1"
    sales.run(JOB, TICK)
    assert sales.rows(wanted) == [("d", ["at-risk"]), ("other", ["at-risk"])]
    sales.load("deals", {"external_id": "d", "stage": "On Hold"})
    for tick in (TICK + DAY, TICK + 2 * DAY, TICK):
        sales.run(JOB, tick)
        assert sales.rows(wanted) == [("d", []), ("other", ["at-risk"])]
        assert [task[0:3:2] for task in tasks(sales)] == [("d", "dropped"), ("other", "open")]
    sales.load("deals", {"external_id": "d", "stage": "Proposal"})
    sales.run(JOB, TICK + 3 * DAY)
    assert sales.rows(wanted) == [("d", ["at-risk"]), ("other", ["at-risk"])]
    assert len(notified(sales)) == 4


def test_an_activity_ends_the_period_and_another_may_begin(sales: Sales) -> None:
    sales.load("deals", deal("d"))
    sales.load("activities", activity("d", 31 * DAY))
    sales.run(JOB, TICK)
    assert sales.rows("select tags from crm.deals") == [(["at-risk"],)]
    sales.load("activities", activity("d", -DAY / 2))
    sales.run(JOB, TICK + DAY)
    assert tasks(sales) == [("d", "Follow up on stale deal", "done", TICK + DAY)]
    assert sales.rows("select tags from crm.deals") == [([],)]
    sales.run(JOB, TICK + 9 * DAY)
    assert [task[2] for task in tasks(sales)] == ["done", "open"]
    assert [row[2] for row in notified(sales)] == [
        "Deal at risk: inactive for 31 days",
        "Deal inactive for 31 days",
        "Deal inactive for 8 days",
    ]


@pytest.mark.parametrize("status", ["won", "lost"])
def test_tasks_of_a_deal_that_is_over_are_dropped(sales: Sales, status: str) -> None:
    sales.load("deals", deal("d"))
    sales.run(JOB, TICK)
    sales.load("deals", {"external_id": "d", "status": status, "closed_at": TICK.isoformat()})
    sales.run(JOB, TICK + DAY)
    assert tasks(sales) == [("d", "Follow up on stale deal", "dropped", None)]
    assert sales.rows("select ended_by from sales.stale_deals") == [(status,)]


@pytest.mark.fault(35)
def test_ticks_run_twice_skipped_and_late_change_nothing(sales: Sales) -> None:
    sales.load("deals", deal("quiet"), deal("busy"), deal("over"))
    sales.load("activities", activity("busy", 10 * DAY), activity("busy", -3 * DAY))
    sales.run(JOB, TICK)
    first = sales.fingerprint()
    sales.run(JOB, TICK)
    assert sales.fingerprint() == first
    sales.load(
        "deals", {"external_id": "over", "status": "lost", "closed_at": (TICK + DAY).isoformat()}
    )
    sales.run(JOB, TICK + 4 * DAY)
    settled = sales.fingerprint()
    for day in (0, 4, 0):
        sales.run(JOB, TICK + day * DAY)
        assert sales.fingerprint() == settled
    assert [row[:1] + row[2:3] for row in tasks(sales)] == [
        ("quiet", "open"),
        ("busy", "done"),
        ("over", "dropped"),
    ]
    # Days in between, done later, see what lay before them.
    sales.run(JOB, TICK + DAY)
    assert len(notified(sales)) == 3 + 2


def test_without_an_owner_the_admins_are_told(sales: Sales) -> None:
    sales.load("deals", deal("d", owner_id=None))
    sales.load("activities", activity("d", 8 * DAY))
    sales.run(JOB, TICK)
    assert [row[:2] for row in notified(sales)] == [("bob", "stale_deal")]
    assert notified(sales)[0][3].endswith("so all admins get this.")


def test_escalations_go_to_the_roles_of_the_setting(sales: Sales) -> None:
    settings = {"deals": {"escalate_to": ["manager", "admin"], "at_risk_after_days": 10}}
    sales.load("organizations", {"external_id": "acme", "settings": settings})
    sales.load("deals", deal("d", owner_id="bob"))
    sales.load("activities", activity("d", 10 * DAY + MOMENT))
    sales.run(JOB, TICK)
    assert sorted(row[:2] for row in notified(sales)) == [
        ("bob", "deal_at_risk"),
        ("bob", "stale_deal"),
        ("max", "deal_at_risk"),
    ]


def test_one_organization_with_broken_settings_stops_itself_alone(sales: Sales) -> None:
    sales.load("organizations", {"external_id": "broken"})
    sales.installation.execute(
        "update crm.organizations set settings = :settings where external_id = 'broken'",
        settings=json.dumps({"deals": {"stale_after_days": {"on hold": 0}}}),
    )
    sales.load("deals", deal("d"))
    sales.load("deals", deal("x", owner_id=None), organization="broken")
    [outcome] = sales.run(JOB, TICK)
    assert (outcome.status, outcome.items_failed) == ("COMPLETED", 1)
    assert sales.rows("select item, consecutive, error from ops.item_failures") == [
        (
            "organization broken",
            1,
            "The settings of organization broken cannot be used:"
            " deals.stale_after_days: it needs a `default` for the stages that it does not name.",
        )
    ]
    assert list(found(sales)) == ["d"]
