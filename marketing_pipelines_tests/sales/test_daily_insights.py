"""Insights of a day: numbers, verdicts, stuck stages, response times, performers, pages."""

import datetime as dt
import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.tables import campaign_daily_stats
from marketing_pipelines.domains.sales.daily.numbers import read_numbers
from marketing_pipelines_tests.sales.world import Sales

JOB = "sales/daily_insights"
# A Saturday; the day described is Friday, 10 April 2026.
TICK = dt.datetime(2026, 4, 11, 8, 0, tzinfo=dt.UTC)
FRIDAY = dt.datetime(2026, 4, 10, tzinfo=dt.UTC)
DAY, WEEK, HOUR = dt.timedelta(days=1), dt.timedelta(weeks=1), dt.timedelta(hours=1)
MOMENT = dt.timedelta(microseconds=1)


def contacts(sales: Sales, count: int, *days: dt.datetime) -> None:
    """So many new contacts from each instant on, a few minutes apart."""
    sales.load(
        "contacts",
        *(
            {
                "external_id": f"{day:%m%d%H}-{n}",
                "created_at": (day + n * 5 * DAY / 1_000).isoformat(),
            }
            for day in days
            for n in range(count)
        ),
    )


def mailed(sales: Sales, campaign: str, day: dt.datetime, delivered: int, opened: int) -> None:
    """The numbers of a campaign's day, as its job writes them."""
    zeros = {one.name: 0 for one in campaign_daily_stats.c if not one.primary_key}
    with sales.installation.engine.begin() as connection:
        number, organization = connection.execute(
            sa.text(
                "select id, organization_id from campaigns.campaigns where external_id = :name"
            ),
            {"name": campaign},
        ).one()
        numbers = {"sent": delivered, "delivered": delivered, "opened": opened}
        ids = {"campaign_id": number, "organization_id": organization, "date": day.date()}
        connection.execute(sa.insert(campaign_daily_stats).values(zeros | ids | numbers))


def counted(sales: Sales, *days: dt.datetime) -> None:
    """The days of campaigns that are done."""
    for day in days:
        sales.installation.execute(
            "insert into analytics.finished_partitions (asset, partition, finished_at, rows)"
            " values ('analytics/campaign_daily_stats', :day, now(), 0) on conflict do nothing",
            day=str(day.date()),
        )


def insight(sales: Sales) -> dict[str, Any]:
    [row] = sales.rows(
        "select to_jsonb(one) from sales.insights as one"
        " join crm.organizations as own on own.id = organization_id where external_id = 'acme'"
    )
    found: dict[str, Any] = row[0]
    return found


def texts(statements: list[dict[str, Any]]) -> list[str]:
    return [one["text"] for one in statements]


def email(name: str, at: dt.datetime, direction: str, **columns: Any) -> dict[str, Any]:
    return {
        "external_id": name,
        "kind": "email",
        "direction": direction,
        "contact_id": "c1",
        "user_id": "ann",
        "occurred_at": at.isoformat(),
    } | columns


def test_the_insights_of_the_example(sales: Sales) -> None:
    """A metric up by 42 %, a stage without movement, a response time against its limit."""
    contacts(sales, 50, *(FRIDAY - week * WEEK for week in range(1, 9)))
    contacts(sales, 71, FRIDAY)
    sales.load(
        "deals",
        *(
            {
                "external_id": f"d{n}",
                "stage": stage,
                "created_at": "2026-03-01T00:00:00Z",
                "stage_changed_at": (FRIDAY + DAY - age).isoformat(),
            }
            for n, (stage, age) in enumerate(
                (("Proposal", 5 * DAY), ("proposal", 9 * DAY), ("Demo", 5 * DAY - MOMENT))
            )
        ),
    )
    sales.load(
        "activities",
        email("in", FRIDAY + 9 * HOUR, "in"),
        email("out", FRIDAY + 13 * HOUR, "out"),
    )
    sales.run(JOB, TICK)
    written = insight(sales)
    assert written["date"] == "2026-04-10"
    assert written["metrics"]["new_contacts"] == {
        "value": 71,
        "expected": 50,
        "spread": 7.07,
        "change": 0.42,
        "earlier": 8,
        "verdict": "usual",
    }
    assert texts(written["trends"]) == [
        "New contacts: +42 %, 71 (usually 50 on Fridays)",
        "New deals: 0 (5 earlier Fridays: no comparison)",
        "Stage changes: 0 (5 earlier Fridays: no comparison)",
        "Won deals: 0 (5 earlier Fridays: no comparison)",
        "Most active: Ann Lee, 1 activity",
    ]
    assert [(one["text"], one["rule"]) for one in written["attention"]] == [
        ("Deals in Proposal stage: no movement in 5 days (2 deals)", "stuck_stage"),
        ("Rep response time: 4 hours (limit: 2 hours)", "slow_response"),
    ]
    assert [(one["text"], one["rule"]) for one in written["recommendations"]] == [
        ("Follow up on the open deals in Proposal stage", "stuck_stage"),
        ("Give leads of reps who answer late to available ones", "slow_response"),
    ]
    assert sales.rows(
        "select users.external_id, title, text from crm.notifications"
        " join crm.users on users.id = user_id"
    ) == [
        (
            "bob",
            "Daily insights – Apr 10, 2026",
            "\n".join(texts(written["attention"]) + texts(written["recommendations"])),
        )
    ]


def test_a_jump_is_an_alarm_and_a_drop_recommends_a_look(sales: Sales) -> None:
    contacts(sales, 25, *(FRIDAY - week * WEEK for week in range(1, 8)))
    contacts(sales, 46, FRIDAY)
    sales.run(JOB, TICK)
    assert texts(insight(sales)["attention"]) == [
        "New contacts: 46 is far above the usual 25 of the last 8 weeks"
    ]
    sales.run(JOB, TICK + WEEK)
    rows = sales.rows("select attention, recommendations from sales.insights order by date")
    assert texts(rows[1][0]) == ["New contacts: 0 is far below the usual 25 of the last 8 weeks"]
    assert [one["rule"] for one in rows[1][1]] == ["anomaly_below"]


def test_numbers_of_deals_and_performers(sales: Sales) -> None:
    at = (FRIDAY + 12 * HOUR).isoformat()
    won = {"status": "won", "closed_at": at, "created_at": "2026-03-01T00:00:00Z"}
    sales.load(
        "deals",
        won | {"external_id": "w1", "amount": 100, "currency": "EUR", "owner_id": "max"},
        won | {"external_id": "w2", "amount": 50.5, "currency": "EUR"},
        won | {"external_id": "w3", "amount": 70, "currency": "USD"},
        {"external_id": "n1", "created_at": FRIDAY.isoformat(), "stage": "New"},
        {"external_id": "n2", "created_at": (FRIDAY + DAY).isoformat(), "stage": "New"},
    )
    sales.load("deals", {"external_id": "n1", "stage": "Demo", "stage_changed_at": at})
    sales.load(
        "activities",
        email("a1", FRIDAY, "out"),
        email("a2", FRIDAY + HOUR, "in"),
        email("a3", FRIDAY + HOUR, "out", user_id="max", kind="call"),
        email("a4", FRIDAY + HOUR, "out", user_id="bob", kind="note"),
        email("a5", FRIDAY + 2 * HOUR, "out", user_id="bob", kind="meeting"),
        email("a6", FRIDAY + DAY, "out"),
        email("a7", FRIDAY + HOUR, "out", kind="task"),
    )
    sales.run(JOB, TICK)
    metrics = insight(sales)["metrics"]
    assert metrics["won_amount"] == {"EUR": 150.5, "USD": 70}
    assert {
        name: metrics[name]["value"] for name in ("new_deals", "stage_changes", "won_deals")
    } == {
        "new_deals": 1,
        "stage_changes": 1,
        "won_deals": 3,
    }
    # Max and Ann have one activity each; Max won more.
    assert [(one["name"], one["activities"]) for one in metrics["top_performers"]] == [
        ("Bob Day", 2),
        ("Max Orr", 1),
        ("Ann Lee", 1),
    ]


def test_the_response_time_is_the_median_to_the_owners_next_answer(sales: Sales) -> None:
    sales.load(
        "activities",
        email("in1", FRIDAY - 3 * HOUR, "in"),
        email("in2", FRIDAY + HOUR, "in"),
        email("by-max", FRIDAY + 2 * HOUR, "out", user_id="max"),
        email("answer", FRIDAY + 3 * HOUR, "out", kind="call"),
        email("in3", FRIDAY + 4 * HOUR, "in"),
        email("answer3", FRIDAY + 5 * HOUR, "out"),
        email("unanswered", FRIDAY + 6 * HOUR, "in"),
    )
    sales.run(JOB, TICK)
    found = insight(sales)
    assert found["metrics"]["response_hours"] == {"rep": {"hours": 2, "answers": 3}}
    assert found["attention"] == []


def test_a_tick_done_again_or_late_leaves_the_same_rows(sales: Sales) -> None:
    contacts(sales, 3, FRIDAY)
    sales.run(JOB, TICK)
    first = sales.fingerprint()
    sales.run(JOB, TICK)
    assert sales.fingerprint() == first
    contacts(sales, 2, FRIDAY + 20 * HOUR)
    sales.run(JOB, TICK)
    assert insight(sales)["metrics"]["new_contacts"]["value"] == 5
    assert len(sales.rows("select from crm.notifications")) == 1
    sales.run(JOB, TICK + 3 * DAY)
    assert sales.rows("select date from sales.insights order by date") == [
        (dt.date(2026, 4, 10),),
        (dt.date(2026, 4, 13),),
    ]


def test_broken_settings_stop_one_organization(sales: Sales) -> None:
    sales.load("organizations", {"external_id": "broken"})
    sales.installation.execute(
        "update crm.organizations set settings = :settings where external_id = 'broken'",
        settings=json.dumps({"insights": {"stuck_days": 0}}),
    )
    [outcome] = sales.run(JOB, TICK)
    assert (outcome.status, outcome.items_failed) == ("COMPLETED", 1)
    assert texts(insight(sales)["trends"]) == ["New contacts: 0 (usually 0 on Fridays)"]


def test_pages_show_the_insight_and_are_made_again_when_it_changes(sales: Sales) -> None:
    pages = "sales/insight_pages"
    contacts(sales, 30, *(FRIDAY - week * WEEK for week in range(3)))
    sales.run(JOB, TICK)
    assert [one.rows for one in sales.run(pages, TICK)] == [1]
    folder = Path(sales.installation.settings.reports_url) / "insights" / "acme"
    page = (folder / "2026-04-10.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "New contacts: 30 (usually 0 on Fridays)" in page
    assert "2026-04-10: 30 new contacts" in page
    assert "2026-04-10.html" in (folder / "index.html").read_text(encoding="utf-8")
    assert [one.rows for one in sales.run(pages, TICK)] == [0]
    contacts(sales, 1, FRIDAY + 20 * HOUR)
    sales.run(JOB, TICK)
    assert [one.rows for one in sales.run(pages, TICK)] == [1]
    (folder / "2026-04-10.html").unlink()
    assert [one.rows for one in sales.run(pages, TICK)] == [1]


def test_days_are_those_of_the_reporting_zone_across_daylight_saving(sales: Sales) -> None:
    """Sunday, 29 March 2026 has 23 hours in Berlin."""
    berlin = ZoneInfo("Europe/Berlin")
    start = dt.datetime(2026, 3, 28, 23, 0, tzinfo=dt.UTC)
    instants = (start - MOMENT, start, start + 23 * HOUR - MOMENT, start + 23 * HOUR)
    sales.load(
        "contacts",
        *({"external_id": f"z{n}", "created_at": at.isoformat()} for n, at in enumerate(instants)),
    )
    with sales.installation.engine.begin() as connection:
        [numbers] = read_numbers(connection, dt.date(2026, 3, 29), berlin).values()
    assert numbers.metrics["new_contacts"].value == 2


def test_a_campaign_that_is_opened_far_more_often_is_recommended(sales: Sales) -> None:
    sales.load("campaigns", *({"external_id": name, "name": name} for name in ("Launch", "Old")))
    mailed(sales, "Launch", FRIDAY, 100, 46)
    mailed(sales, "Old", FRIDAY, 200, 80)
    counted(sales, FRIDAY)
    sales.run(JOB, TICK)
    assert insight(sales)["recommendations"] == []
    sales.installation.execute(
        "update analytics.campaign_daily_stats set opened = 47 where sent = 100"
    )
    sales.run(JOB, TICK)
    [advice] = insight(sales)["recommendations"]
    assert (advice["rule"], advice["text"]) == (
        "best_campaign",
        "Repeat what “Launch” does: 47% of its mails were opened, 40% of the others",
    )
    assert {one["text"] for one in insight(sales)["trends"]} >= {
        "Mails sent: 300 (0 earlier Fridays: no comparison)",
        "Mails opened: 127 (0 earlier Fridays: no comparison)",
    }


def test_a_day_of_mails_that_is_not_counted_has_no_value(sales: Sales) -> None:
    """Of eight Fridays, one is not counted and one had no mail."""
    sales.load("campaigns", {"external_id": "Old", "name": "Old"})
    fridays = [FRIDAY - week * WEEK for week in range(8, 0, -1)]
    for day in (*fridays[:2], *fridays[4:]):
        mailed(sales, "Old", day, 100, 40)
    counted(sales, *fridays[:3], *fridays[4:])
    sales.run(JOB, TICK)
    found = insight(sales)
    assert found["attention"] == []
    assert "Mails sent: not counted yet" in texts(found["trends"])
    sent = found["metrics"]["sent"]
    assert (sent["value"], sent["expected"], sent["earlier"], sent["verdict"]) == (
        None,
        100,
        7,
        None,
    )
    sales.run("sales/insight_pages", TICK)
    folder = Path(sales.installation.settings.reports_url) / "insights" / "acme"
    page = (folder / "2026-04-10.html").read_text(encoding="utf-8")
    assert "<td>not counted yet</td>" in page
    counted(sales, FRIDAY)
    sales.run(JOB, TICK)
    assert "Mails sent: 0 is far below the usual 100 of the last 8 weeks" in texts(
        insight(sales)["attention"]
    )
