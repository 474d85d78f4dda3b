"""Files of deals, meetings, tasks and contacts: history, attendees, instants, and refused rows."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines.loading import LoadResult, load_rows
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.installation import Installation

HISTORY = (
    'select "from", "to", from_status, to_status, at::text from crm.deal_stage_history'
    " join crm.deals as deal on deal.id = deal_id where external_id = :deal"
    " order by deal_stage_history.id"
)
LATER = "2026-03-05 00:00:00+00"
DAY = dt.timedelta(days=1)


class Files:
    """Loads rows of one organization."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.folder = folder

    def load(self, kind: str, header: str, *rows: str) -> LoadResult:
        path = self.folder / f"{kind}-{len(list(self.folder.iterdir()))}.csv"
        lines = [f"organization_id,{header}", *(f"acme,{row}" for row in rows)]
        path.write_text("\n".join(lines))
        return self.installation.load(kind, path)

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        return self.installation.rows(statement, **values)


@pytest.fixture
def files(installation: Installation, tmp_path: Path) -> Files:
    folder = tmp_path / "files"
    folder.mkdir()
    return Files(installation, folder)


def test_a_deal_begins_its_history_and_each_change_is_a_row(files: Files) -> None:
    header = "external_id,stage,status,stage_changed_at,created_at"
    files.load("deals", header, "d,new,open,,2026-03-01T00:00:00Z")
    files.load("deals", "external_id,amount", "d,100")
    files.load("deals", header, "d,proposal,open,2026-03-05T00:00:00Z,")
    files.load("deals", header, "d,proposal,won,2026-03-06T00:00:00Z,")
    created = "2026-03-01 00:00:00+00"
    assert files.rows(HISTORY, deal="d") == [
        (None, "new", None, "open", created),
        ("new", "proposal", "open", "open", LATER),
        ("proposal", "proposal", "open", "won", "2026-03-06 00:00:00+00"),
    ]


def test_a_change_without_an_instant_has_that_of_the_load(files: Files) -> None:
    files.load("deals", "external_id,stage,created_at", "d,new,2026-03-01T00:00:00Z")
    files.load("deals", "external_id,stage", "d,proposal")
    assert files.rows(
        'select "from", "to", at = deal.stage_changed_at, at > now() - interval \'1 hour\''
        " from crm.deal_stage_history join crm.deals as deal on deal.id = deal_id order by at"
    ) == [(None, "new", False, False), ("new", "proposal", True, True)]
    again = files.load("deals", "external_id,stage", "d,proposal")
    assert (again.changed, again.repeated) == (0, 1)
    assert len(files.rows(HISTORY, deal="d")) == 2


def test_a_deal_that_another_file_names_begins_when_its_own_file_comes(files: Files) -> None:
    header = "external_id,kind,deal_id,contact_id,occurred_at"
    files.load("activities", header, "a,call,d,ann,2026-03-04T00:00:00Z")
    assert files.rows("select status, stage from crm.deals") == [(None, None)]
    assert files.rows(HISTORY, deal="d") == []
    files.load("deals", "external_id,stage,created_at", "d,new,2026-03-05T00:00:00Z")
    assert files.rows("select status, stage from crm.deals") == [("open", "new")]
    assert files.rows(HISTORY, deal="d") == [(None, "new", None, "open", LATER)]


@pytest.mark.parametrize(
    ("kind", "header", "row", "column", "reason"),
    [
        ("deals", "external_id,amount", "d,-5", "amount", "'-5' is less than 0"),
        ("deals", "external_id,amount", 'd,"1,5"', "amount", "'1,5' has a decimal comma"),
        ("deals", "external_id,status", "d,lost?", "status", "'lost?' is not one of open, won"),
        (
            "deals",
            "external_id,expected_close_on",
            "d,2026-02-30",
            "expected_close_on",
            "is no day",
        ),
        (
            "meetings",
            "external_id,starts_at,ends_at",
            "m,2026-03-01T10:00:00Z,2026-03-01T09:00:00Z",
            "ends_at",
            "lies before starts_at",
        ),
        ("meetings", "external_id,starts_at", "m,", "starts_at", "is missing"),
        (
            "meetings",
            "external_id,starts_at,status",
            "m,2026-03-01T10:00:00Z,held",
            "status",
            "'held' is not one of planned, cancelled",
        ),
        ("opportunities", "external_id,travel_date", "o,soon", "travel_date", "is no day"),
        (
            "tasks",
            "external_id,title,state,done_at",
            "t,Call,open,2026-03-01T10:00:00Z",
            "done_at",
            "is set, but the state is not done",
        ),
        ("contacts", "external_id,lead_score", "c,101", "lead_score", "'101' is more than 100"),
        ("contacts", "external_id,lead_status", "c,Lost", "lead_status", "'Lost' is not one of"),
        (
            "activities",
            "external_id,kind,occurred_at",
            "a,sms,2026-03-01T10:00:00Z",
            "kind",
            "'sms' is not one of email, call",
        ),
    ],
)
def test_a_row_that_cannot_be_is_refused_with_its_column(
    files: Files, kind: str, header: str, row: str, column: str, reason: str
) -> None:
    result = files.load(kind, header, row)
    assert (result.loaded, result.rejected) == (0, 1)
    assert result.rejects is not None
    written = result.rejects.read_text()
    assert column in written
    assert reason in written


def test_a_meeting_whose_end_alone_moves_before_its_begin_is_refused(files: Files) -> None:
    files.load("meetings", "external_id,starts_at", "m,2026-03-01T10:00:00Z")
    result = files.load(
        "meetings", "external_id,starts_at,ends_at", "m,2026-03-01T10:00:00Z,2026-03-01T10:00:00Z"
    )
    assert (result.changed, result.rejected) == (1, 0)


def test_attendees_lead_to_contacts_by_id_or_address_also_to_later_ones(files: Files) -> None:
    files.load("contacts", "external_id,email", "ann, Ann@Example.org", "bob,bob@x")
    header = "external_id,starts_at,attendees"
    files.load("meetings", header, "m,2026-03-01T10:00:00Z,ann@example.org; bob;Cleo@x;cleo@X")
    found = (
        "select attendee, contact.external_id from crm.meeting_contacts"
        " left join crm.contacts as contact on contact.id = contact_id order by position"
    )
    assert files.rows(found) == [("ann@example.org", "ann"), ("bob", "bob"), ("Cleo@x", None)]
    files.load("contacts", "external_id,email", "cleo,cleo@x")
    assert files.rows(found)[2] == ("Cleo@x", "cleo")
    files.load("meetings", header, "m,2026-03-01T10:00:00Z,bob")
    assert files.rows(found) == [("bob", "bob")]


def test_the_timeline_joins_what_happened(files: Files) -> None:
    files.load("contacts", "external_id,email", "ann,ann@x", "bob,bob@x")
    at = "2026-03-01T10:00:00Z"
    files.load("activities", "external_id,kind,direction,contact_id,occurred_at",
               f"a,call,out,ann,{at}")  # fmt: skip
    files.load("meetings", "external_id,starts_at,attendees,status",
               f"m,{at},ann@x;bob,planned", f"n,{at},ann,cancelled", f"s,{at},stranger@x,planned",
               )  # fmt: skip
    files.load("tasks", "external_id,title,contact_id,state,done_at",
               f"t,Call,ann,done,{at}", "u,Wait,ann,open,")  # fmt: skip
    assert files.rows(
        "select kind, direction, contact.external_id, timeline.source, origin"
        " from crm.timeline left join crm.contacts as contact on contact.id = contact_id"
        " order by kind, contact.external_id"
    ) == [
        ("call", "out", "ann", "file", "activity"),
        ("meeting", None, "ann", "meeting", "meeting"),
        ("meeting", None, "bob", "meeting", "meeting"),
        ("meeting", None, None, "meeting", "meeting"),
        ("task", None, "ann", "file", "task"),
    ]


def test_status_and_stage_have_the_instant_of_the_file_or_of_the_load(files: Files) -> None:
    header = "external_id,lead_status,lead_status_at,lifecycle_stage"
    files.load("contacts", header, "c,lost,2026-03-05T00:00:00Z,lead", "d,new,,lead")
    recent = "now() - interval '1 hour'"
    shown = (
        f"select external_id, lead_status_at > {recent}, lifecycle_stage_at > {recent}"
        " from crm.contacts order by 1"
    )
    assert files.rows(shown) == [("c", False, None), ("d", True, None)]
    assert files.load("contacts", header, "c,lost,,lead").repeated == 1
    files.load("contacts", "external_id,lead_status,lifecycle_stage", "c,working,mql")
    assert files.rows(shown)[0] == ("c", True, True)


def test_rows_of_a_job_change_at_its_tick(files: Files) -> None:
    tick = dt.datetime(2026, 3, 20, 2, tzinfo=dt.UTC)

    def load(kind: str, at: dt.datetime, **row: str) -> None:
        rows = [{"organization_id": "acme", "external_id": "x", **row}]
        _, refused = load_rows(
            files.installation.engine, kind, rows, settings=get_settings(), now=at
        )
        assert refused == []

    first = {"created_at": "2026-03-01T00:00:00Z"}
    load("contacts", tick, lead_status="new", lifecycle_stage="lead", **first)
    load("contacts", tick + DAY, lifecycle_stage="mql")
    load("deals", tick, stage="new", **first)
    load("deals", tick + DAY, stage="proposal")
    load("tasks", tick, title="Call", state="done", **first)
    assert files.rows(
        "select contact.lead_status_at, contact.lifecycle_stage_at, deal.stage_changed_at,"
        " task.done_at from crm.contacts as contact, crm.deals as deal, crm.tasks as task"
    ) == [(tick, tick + DAY, tick + DAY, tick)]


def test_a_task_that_is_done_has_an_instant_and_loses_it_when_it_is_not(files: Files) -> None:
    header = "external_id,title,state"
    for state, is_set in (("done", True), ("open", False), ("done", True), ("dropped", False)):
        files.load("tasks", header, f"t,Call,{state}")
        assert files.rows("select state, done_at is not null from crm.tasks") == [(state, is_set)]
        assert files.load("tasks", header, f"t,Call,{state}").repeated == 1


def test_tags_are_a_list_for_segment_rules(files: Files) -> None:
    files.load("contacts", "external_id,tags,manual_override", "c,vip; gold,true", "d,,")
    assert files.rows("select external_id, tags, manual_override from crm.contacts order by 1") == [
        ("c", ["vip", "gold"], True),
        ("d", [], None),
    ]


def test_analysts_read_scores_and_views(files: Files) -> None:
    for name in (
        "analytics.users",
        "analytics.deals",
        "analytics.meetings",
        "analytics.opportunities",
        "analytics.tasks",
        "leads.intent_days",
        "leads.opportunity_scores",
        "leads.score_rules",
    ):
        assert files.rows(
            "select has_table_privilege('marketing_reader', cast(:name as text), 'select')",
            name=name,
        ) == [(True,)], name
