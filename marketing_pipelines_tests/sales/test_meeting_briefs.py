"""Briefs of meetings: window, versions, sentences with their rows, notifications."""

import datetime as dt
import re
from typing import Any

import pytest

from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.delivery.http_sink import Reply, Request, http_sink
from marketing_pipelines_tests.sales.world import Sales

JOB = "sales/meeting_briefs"
TICK = dt.datetime(2026, 3, 30, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
MOMENT = dt.timedelta(microseconds=1)
DAY = dt.timedelta(days=1)


def meeting(name: str, after: dt.timedelta, **columns: Any) -> dict[str, Any]:
    return {
        "external_id": name,
        "title": "Review",
        "owner_id": "ann",
        "attendees": ["john@globex.example"],
        "starts_at": (TICK + after).isoformat(),
    } | columns


def briefed(sales: Sales) -> list[str]:
    return [
        row[0]
        for row in sales.rows(
            "select external_id from sales.meeting_briefs"
            " join crm.meetings on meetings.id = meeting_id order by meeting_briefs.id"
        )
    ]


def brief(sales: Sales) -> dict[str, Any]:
    [row] = sales.rows("select to_jsonb(one) from sales.meeting_briefs as one")
    found: dict[str, Any] = row[0]
    return found


def texts(statements: list[dict[str, Any]]) -> list[str]:
    return [one["text"] for one in statements]


def test_the_brief_of_the_example(sales: Sales) -> None:
    """From files: amount, stage, competitor and last contact, each with its row."""
    sales.load("contacts", {"external_id": "c1", "lifecycle_stage": "sql", "competitor": "HubSpot"})
    sales.load(
        "companies", {"external_id": "globex", "name": "Acme Corp", "domain": "acme.example"}
    )
    sales.load(
        "deals",
        {
            "external_id": "d1",
            "name": "Rollout",
            "contact_id": "c1",
            "company_id": "globex",
            "stage": "Proposal",
            "amount": 50_000,
            "currency": "USD",
            "created_at": "2026-01-05T00:00:00Z",
        },
    )
    sales.load(
        "activities",
        *(
            {
                "external_id": f"a{days}",
                "kind": kind,
                "direction": direction,
                "contact_id": "c1",
                "user_id": "ann",
                "subject": subject,
                "occurred_at": (TICK - days * DAY).isoformat(),
            }
            for days, kind, direction, subject in (
                (14, "call", "out", "Pricing"),
                (20, "email", "in", None),
                (30, "note", None, None),
                (40, "call", "out", None),
            )
        ),
    )
    sales.load(
        "tasks",
        {
            "external_id": "t1",
            "title": "Send offer",
            "contact_id": "c1",
            "created_at": "2026-03-01T00:00:00Z",
            "due_at": "2026-04-01T00:00:00Z",
        },
    )
    sales.load(
        "meetings", meeting("m1", 30 * MINUTE, attendees=["john@globex.example", "x@y.example"])
    )
    sales.run(JOB, TICK)
    written = brief(sales)
    assert written["headline"] == (
        "Meeting in 30 minutes: John Doe and x@y.example (not known) @ Acme Corp"
    )
    assert texts(written["key_points"]) == [
        "Last contacted 2 weeks ago: call by Ann Lee with John Doe, “Pricing”",
        "Before that 2 weeks ago: e-mail from John Doe to Ann Lee",
        "Before that 4 weeks ago: note by Ann Lee with John Doe",
        "Open task: Send offer, due 2026-04-01",
        "John Doe: stage sql, lead score 20, grade D, intent 0",
        "Not known: x@y.example",
        "Open deal: Rollout, USD 50,000 (Proposal stage)",
        "Company: Acme Corp (acme.example)",
        "Competitor: HubSpot",
    ]
    [(contact, deal, latest)] = sales.rows(
        "select contacts.id, deals.id, activities.id from crm.contacts, crm.deals, crm.activities"
        " where activities.external_id = 'a14'"
    )
    points = {one["text"]: one["rows"] for one in written["key_points"]}
    assert points["Competitor: HubSpot"] == [f"contact:{contact}"]
    assert points["Open deal: Rollout, USD 50,000 (Proposal stage)"] == [f"deal:{deal}"]
    assert written["key_points"][0]["rows"] == [f"activity:{latest}"]
    assert all(set(one["rows"]) <= set(written["facts"]) for one in written["key_points"])
    assert texts(written["talking_points"]) == [
        "Next step for Rollout after Proposal",
        "Differences to HubSpot",
        "Follow-up on “Pricing”",
        "State of “Send offer”",
    ]
    assert texts(written["questions"]) == [
        "What are the top 3 pain points?",
        "What is the timeline for a decision on Rollout?",
        "What is the role of x@y.example?",
    ]
    assert written["writer"] == "rules"
    assert written["facts"][f"deal:{deal}"] == {
        "name": "Rollout",
        "stage": "Proposal",
        "amount": "USD 50,000",
    }
    assert sales.rows(
        "select users.external_id, kind, title from crm.notifications"
        " join crm.users on users.id = user_id"
    ) == [("ann", "meeting_brief", written["headline"])]
    [(text,)] = sales.rows("select text from crm.notifications")
    assert text.startswith("Key points\n- Last contacted 2 weeks ago: call by Ann Lee")
    assert "- Competitor: HubSpot\n\nTalking points\n- Next step for Rollout" in text
    page = "http://127.0.0.1:8000/admin/pages/briefs?meeting="
    assert re.search(f"- What is the role of x@y.example\\?\n\n{re.escape(page)}\\d+$", text)


def test_the_window_is_half_open(sales: Sales) -> None:
    sales.load(
        "meetings",
        meeting("29:59", 30 * MINUTE - MOMENT),
        meeting("30:00", 30 * MINUTE),
        meeting("59:59", 60 * MINUTE - MOMENT),
        meeting("60:00", 60 * MINUTE),
        meeting("cancelled", 40 * MINUTE, status="cancelled"),
    )
    sales.run(JOB, TICK)
    assert briefed(sales) == ["30:00", "59:59"]
    sales.run(JOB, TICK + 30 * MINUTE)
    assert briefed(sales) == ["30:00", "59:59", "60:00"]
    assert [row[0][:24] for row in sales.rows("select headline from sales.meeting_briefs")] == [
        "Meeting in 30 minutes: J",
        "Meeting in 59 minutes: J",
        "Meeting in 30 minutes: J",
    ]


@pytest.mark.fault(34)
@pytest.mark.parametrize(
    ("order", "minutes"),
    [((0, 30), {"30:00": 30, "60:00": 30}), ((30, 0), {"30:00": 0, "60:00": 30})],
    ids=["7 minutes late", "later than the next tick"],
)
def test_a_late_run_writes_one_brief_of_meetings_at_the_bounds(
    sales: Sales, order: tuple[int, ...], minutes: dict[str, int]
) -> None:
    sales.load("meetings", meeting("30:00", 30 * MINUTE), meeting("60:00", 60 * MINUTE))
    sales.run(JOB, TICK - 30 * MINUTE)
    assert briefed(sales) == []
    # The run of 09:00 starts at 09:07 or after the one of 09:30; its tick is 09:00 all the same.
    for late in (*order, *order):
        sales.run(JOB, TICK + late * MINUTE)
    headlines = sales.rows(
        "select external_id, headline from sales.meeting_briefs"
        " join crm.meetings on meetings.id = meeting_id order by 1"
    )
    assert headlines == [
        (name, f"Meeting in {left} minutes: John Doe @ Globex Corp")
        for name, left in minutes.items()
    ]
    assert len(sales.rows("select from crm.notifications")) == 2


def test_a_new_time_makes_a_new_brief_and_a_new_title_none(sales: Sales) -> None:
    sales.load("meetings", meeting("m", 30 * MINUTE))
    sales.run(JOB, TICK)
    first = sales.fingerprint()
    sales.load("meetings", meeting("m", 30 * MINUTE, title="Another"))
    sales.run(JOB, TICK)
    assert sales.fingerprint() == first
    sales.load("meetings", meeting("m", 70 * MINUTE))
    sales.run(JOB, TICK + 30 * MINUTE)
    assert briefed(sales) == ["m", "m"]
    assert len(sales.rows("select from crm.notifications")) == 2
    sales.load("meetings", meeting("m", 100 * MINUTE, status="cancelled"))
    sales.run(JOB, TICK + 60 * MINUTE)
    assert briefed(sales) == ["m", "m"]


def test_after_missed_ticks_meetings_that_have_not_begun_are_covered(sales: Sales) -> None:
    sales.run(JOB, TICK - 180 * MINUTE)
    sales.load(
        "meetings",
        meeting("begun", -MOMENT),
        meeting("begins", dt.timedelta()),
        meeting("soon", 10 * MINUTE),
        meeting("usual", 40 * MINUTE),
    )
    sales.run(JOB, TICK)
    assert briefed(sales) == ["begins", "soon", "usual"]
    sales.load("meetings", meeting("next", 60 * MINUTE))
    sales.run(JOB, TICK + 30 * MINUTE)
    assert briefed(sales) == ["begins", "soon", "usual", "next"]
    done = sales.fingerprint()
    for tick in (TICK, TICK + 30 * MINUTE):
        sales.run(JOB, tick)
    assert sales.fingerprint() == done


def test_attendees_are_found_by_address_or_id_and_colleagues_left_out(sales: Sales) -> None:
    sales.load("contacts", {"external_id": "c2", "first_name": "Eve", "company_id": "globex"})
    sales.load(
        "meetings",
        meeting(
            "m",
            35 * MINUTE,
            owner_id=None,
            attendees=["c2", " JOHN@Globex.example", "ann@acme.example", "guest"],
        ),
    )
    sales.run(JOB, TICK)
    assert brief(sales)["headline"] == (
        "Meeting in 35 minutes: Eve, John Doe and guest (not known) @ Globex Corp"
    )
    assert sales.rows(
        "select users.external_id, text like '%so all admins get this.'"
        " from crm.notifications join crm.users on users.id = user_id"
    ) == [("bob", True)]


def test_ids_that_differ_by_case_alone_are_two_attendees(sales: Sales) -> None:
    for name in ("c2", "C2"):
        sales.load("contacts", {"external_id": name, "first_name": f"Eve {name}"})
    attendees = ["C2", "c2", "C2", "john@globex.example", "JOHN@globex.example"]
    sales.load("meetings", meeting("m", 35 * MINUTE, attendees=attendees))
    sales.run(JOB, TICK)
    assert brief(sales)["headline"] == (
        "Meeting in 35 minutes: Eve C2, Eve c2 and John Doe @ Globex Corp"
    )


def test_a_meeting_without_anything_known_has_a_brief(sales: Sales) -> None:
    sales.load("meetings", meeting("m", 30 * MINUTE, attendees=[], title=None))
    sales.run(JOB, TICK)
    written = brief(sales)
    assert written["headline"] == "Meeting in 30 minutes: no attendees"
    assert written["key_points"] == []
    assert texts(written["talking_points"]) == ["Needs and priorities"]


@pytest.mark.parametrize("invents", [False, True])
def test_a_model_rewrites_the_prose_unless_it_invents(
    sales: Sales, monkeypatch: pytest.MonkeyPatch, invents: bool
) -> None:
    def answer(request: Request) -> Reply:
        lines = request.json["messages"][1]["content"].split("Lines:\n")[1].splitlines()
        lines = [f"In short: {line[0].lower()}{line[1:]}" for line in lines]
        if invents:
            lines[0] = lines[0].replace("[", "about 90 seats [")
        text = "\n".join(lines)
        return Reply(body={"choices": [{"message": {"content": text}}]})

    sales.load(
        "deals",
        {
            "external_id": "d1",
            "name": "Rollout",
            "contact_id": "c1",
            "created_at": "2026-01-05T00:00:00Z",
        },
    )
    sales.load("meetings", meeting("m", 30 * MINUTE))
    with http_sink() as sink:
        sink.answer = answer
        monkeypatch.setenv("MARKETING_MODEL_URL", f"http://127.0.0.1:{sink.port}")
        monkeypatch.setenv("MARKETING_MODEL_NAME", "test-1")
        get_settings.cache_clear()
        sales.run(JOB, TICK)
        sales.run(JOB, TICK)
    monkeypatch.undo()
    get_settings.cache_clear()
    assert len(sink.requests) == 1
    written = brief(sales)
    assert written["writer"] == ("rules" if invents else "model:test-1")
    assert texts(written["key_points"])[1] == (
        "Open deal: Rollout" if invents else "In short: open deal: Rollout"
    )
    [metadata] = sales.rows(
        "select metadata from ops.job_sessions where job = :job order by id limit 1", job=JOB
    )
    assert (metadata[0]["texts_rewritten"], metadata[0]["texts_kept"]) == (
        (0, 1) if invents else (1, 0)
    )


def test_a_meeting_that_fails_stops_itself_alone_and_is_tried_again(sales: Sales) -> None:
    sales.load("contacts", {"external_id": "c2", "first_name": "Poison"})
    sales.load(
        "meetings",
        meeting("good", 50 * MINUTE),
        meeting("bad", 50 * MINUTE, attendees=["c2"]),
    )
    table = "alter table sales.meeting_briefs"
    sales.installation.execute(
        f"{table} add constraint poison check (headline not like '%Poison%')"
    )
    [outcome] = sales.run(JOB, TICK)
    sales.installation.execute(f"{table} drop constraint poison")
    assert (outcome.status, outcome.items_failed, briefed(sales)) == ("COMPLETED", 1, ["good"])
    sales.run(JOB, TICK + 30 * MINUTE)
    assert briefed(sales) == ["good", "bad"]
    assert sales.rows("select headline from sales.meeting_briefs order by id desc limit 1") == [
        ("Meeting in 20 minutes: Poison",)
    ]
    assert sales.rows("select from ops.item_failures") == []


def test_scores_are_those_of_the_tick_and_else_those_stored(sales: Sales) -> None:
    sales.load("contacts", {"external_id": "c1", "intent_score": 77, "lead_grade": "A"})
    sales.load(
        "events",
        {
            "event_id": "e1",
            "contact_id": "c1",
            "event_type": "form_submission",
            "occurred_at": (TICK - 3 * DAY).isoformat(),
        },
        {
            "event_id": "e2",
            "contact_id": "c1",
            "event_type": "form_submission",
            "occurred_at": TICK.isoformat(),
        },
    )
    sales.load("meetings", meeting("m", 30 * MINUTE), meeting("n", 60 * MINUTE))
    sales.run(JOB, TICK)
    # Twenty points less two for each of three days; the second form lies at the tick.
    assert ", intent 14" in texts(brief(sales)["key_points"])[0]
    sales.installation.execute("update crm.organizations set settings = '{\"intent\": 1}'")
    [outcome] = sales.run(JOB, TICK + 30 * MINUTE)
    assert (outcome.status, outcome.items_failed) == ("COMPLETED", 1)
    [(points,)] = sales.rows("select key_points from sales.meeting_briefs order by id desc limit 1")
    assert texts(points)[0] == "John Doe: grade A, intent 77"


def test_scores_that_take_too_long_stop_the_scores_of_one_organization_alone(sales: Sales) -> None:
    """Back references make PostgreSQL try every way to cut the text."""
    sales.load("contacts", {"external_id": "c1", "lead_grade": "A", "intent_score": 77})
    sales.load(
        "organizations", {"external_id": "slow", "settings": {"segments": {"timeout_seconds": 1}}}
    )
    sales.load(
        "contacts",
        {
            "external_id": "s1",
            "lead_grade": "B",
            "intent_score": 55,
            "text": "x" * 40 + "a" * 3_000,
        },
        organization="slow",
    )
    pattern = r"^(x+)*(x+)*(x+)*\1\2\3(a*)(a*)(a*)\4\5\6$"
    rule = {"attribute": "text", "op": "matches", "value": pattern}
    sales.load(
        "score_rules",
        {"external_id": "r", "name": "R", "rule": rule, "points": 5},
        organization="slow",
    )
    sales.load("meetings", meeting("m", 30 * MINUTE))
    sales.load(
        "meetings", meeting("s", 30 * MINUTE, owner_id=None, attendees=["s1"]), organization="slow"
    )
    [outcome] = sales.run(JOB, TICK)
    assert (outcome.status, outcome.items_failed) == ("COMPLETED", 1)
    points = sales.rows("select key_points from sales.meeting_briefs order by meeting_id")
    assert [texts(row[0])[0] for row in points] == [
        "John Doe: lead score 20, grade D, intent 0",
        "s1: grade B, intent 55",
    ]
    assert sales.rows("select item, error from ops.item_failures") == [
        ("scores of slow", "The rule took longer than 1 s and was stopped.")
    ]
    [(metadata,)] = sales.rows(
        "select metadata from ops.job_sessions where job = :job order by id desc limit 1", job=JOB
    )
    assert metadata["organizations_with_stored_scores"] == 1


def test_a_meeting_of_several_attendees_is_one_activity(sales: Sales) -> None:
    sales.load("contacts", {"external_id": "c2", "first_name": "Eve"})
    both = ["c1", "c2"]
    sales.load(
        "meetings",
        meeting("m", 30 * MINUTE, attendees=both),
        meeting("past", -DAY, title="Demo", attendees=both),
    )
    sales.load(
        "activities",
        *(
            {
                "external_id": f"a{days}",
                "kind": "call",
                "contact_id": "c2",
                "subject": f"Call {days}",
                "occurred_at": (TICK - days * DAY).isoformat(),
            }
            for days in (2, 3, 4)
        ),
    )
    sales.run(JOB, TICK)
    points = [
        one
        for one in brief(sales)["key_points"]
        if "ontact" in one["text"] or "efore" in one["text"]
    ]
    assert [one["rows"][0].split(":")[0] for one in points] == ["meeting", "activity", "activity"]
    assert ["Demo" in points[0]["text"], "Call 2" in points[1]["text"]] == [True, True]


def test_the_company_is_that_of_the_meetings_own_deal_also_when_it_is_won(sales: Sales) -> None:
    sales.load(
        "companies", *({"external_id": name, "name": name.title()} for name in ("own", "open"))
    )
    created = {"created_at": "2026-01-05T00:00:00Z"}
    sales.load(
        "deals",
        created
        | {
            "external_id": "d1",
            "company_id": "own",
            "status": "won",
            "closed_at": "2026-02-01T00:00:00Z",
        },
        created | {"external_id": "d2", "company_id": "open", "contact_id": "c1"},
    )
    sales.load("meetings", meeting("m", 30 * MINUTE, deal_id="d1"), meeting("n", 31 * MINUTE))
    sales.run(JOB, TICK)
    assert sales.rows("select headline from sales.meeting_briefs order by id") == [
        ("Meeting in 30 minutes: John Doe @ Own",),
        ("Meeting in 31 minutes: John Doe @ Open",),
    ]
