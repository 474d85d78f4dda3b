"""Leads of LeadSquared: windows with an overlap, pages, shifted pages, mapping, poison rows."""

import datetime as dt
from typing import Any

import pytest

from marketing_pipelines.domains.integrations import leadsquared
from marketing_pipelines.domains.integrations.providers import LEADSQUARED
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.service import (
    BROKEN,
    NO_JSON,
    OTHER_JSON,
    TRUNCATED,
    Asked,
    Said,
    Service,
)
from marketing_pipelines_tests.integrations.world import NIGHT, Connected, everything_in

ACCESS, SECRET = "u$r-access-41c7", "s3cret+key/9e2"
MINUTE = dt.timedelta(minutes=1)
QUARTER = 15 * MINUTE
TABLES = ("crm.contacts",)


class Account:
    """A LeadSquared account: leads with the instant of their modification."""

    def __init__(self, outside: Service) -> None:
        self.leads: list[tuple[dt.datetime, dict[str, Any]]] = []
        self.before: Any = lambda number: None
        self.windows: list[tuple[str, str, int]] = []
        outside.answer = self.answer

    def add(self, number: str, at: dt.datetime = NIGHT - MINUTE, **values: Any) -> None:
        self.leads.append((at, {"ProspectID": number, **values}))

    def answer(self, asked: Asked) -> Said:
        assert asked.path == "/v2/LeadManagement.svc/Leads.RecentlyModified"
        assert asked.query == {"accessKey": ACCESS, "secretKey": SECRET}
        window, paging = asked.body["Parameter"], asked.body["Paging"]
        number, size = paging["PageIndex"], paging["PageSize"]
        self.windows.append((window["FromDate"], window["ToDate"], number))
        self.before(number)
        since, until = (
            dt.datetime.fromisoformat(window[name]).replace(tzinfo=dt.UTC)
            for name in ("FromDate", "ToDate")
        )
        found = [values for at, values in self.leads if since <= at <= until]
        page = found[(number - 1) * size : number * size]
        leads = [
            {"LeadPropertyList": [{"Attribute": k, "Value": v} for k, v in values.items()]}
            if isinstance(values, dict) else values
            for values in page
        ]  # fmt: skip
        return Said({"RecordCount": len(found), "Leads": leads})


@pytest.fixture
def account(outside: Service) -> Account:
    return Account(outside)


@pytest.fixture
def world(
    shared_installation: Installation, outside: Service, monkeypatch: pytest.MonkeyPatch
) -> Connected:
    monkeypatch.setattr(leadsquared, "PAGE_SIZE", 3)
    world = Connected(shared_installation)
    world.connect(
        "leadsquared", url=outside.url, access_key=ACCESS, secret_key=SECRET, per_5_seconds=5_000
    )
    return world


def contacts(world: Connected) -> list[tuple[Any, ...]]:
    return world.rows("select external_id from crm.contacts order by external_id")


def test_a_lead_becomes_a_contact_by_the_mapping(world: Connected, account: Account) -> None:
    account.add("p1", FirstName="Ada", LastName="Lovelace", EmailAddress="ada@x.example",
                Phone="+49 30 1", ProspectStage="Working", Hobby="chess")  # fmt: skip
    account.add("p2", EmailAddress=" ", ProspectStage="Far Out")
    done = world.run(leadsquared.pull)
    assert (done["ok"], done["rows"], done["leads"], done["leads_refused"]) == (1, 2, 2, 0)
    assert done["stages_unknown"] == 1
    assert world.rows(
        "select external_id, first_name, last_name, email, phone, lead_status, attributes, source"
        " from crm.contacts order by id"
    ) == [
        ("leadsquared:p1", "Ada", "Lovelace", "ada@x.example", "+49 30 1", "working",
         {"leadsquared_stage": "Working"}, "import"),
        ("leadsquared:p2", None, None, None, None, None, {"leadsquared_stage": "Far Out"},
         "import"),
    ]  # fmt: skip
    asked = account.windows[0]
    assert asked == ("2000-01-01 00:00:00", "2026-03-01 02:00:00", 1)


def test_a_status_changes_at_the_tick_that_brings_it(world: Connected, account: Account) -> None:
    account.add("p1", ProspectStage="Working")
    world.run(leadsquared.pull)
    shown = "select lead_status, lead_status_at from crm.contacts"
    assert world.rows(shown) == [("working", NIGHT)]
    account.add("p1", NIGHT + MINUTE, ProspectStage="Lost")
    for tick in (NIGHT + QUARTER, NIGHT + 2 * QUARTER):
        world.run(leadsquared.pull, tick)
        assert world.rows(shown) == [("lost", NIGHT + QUARTER)]


def test_the_mapping_is_a_setting_of_the_connection(world: Connected, account: Account) -> None:
    world.connect(
        "leadsquared",
        mapping={"Score": "leadsquared_score", "mx_City": "city", "ProspectStage": "lead_status"},
        statuses={"far out": "unqualified"},
    )
    account.add("p1", Score=12, mx_City="Lisbon", ProspectStage="FAR OUT", FirstName="Ada")
    world.run(leadsquared.pull)
    assert world.rows("select first_name, lead_status, attributes from crm.contacts") == [
        (None, "unqualified",
         {"leadsquared_score": "12", "city": "Lisbon", "leadsquared_stage": "FAR OUT"})
    ]  # fmt: skip


def test_each_window_begins_ten_minutes_before_the_end_of_the_last(
    world: Connected, account: Account
) -> None:
    world.run(leadsquared.pull)
    account.add("late", NIGHT - 10 * MINUTE)
    world.run(leadsquared.pull, NIGHT + QUARTER)
    world.run(leadsquared.pull, NIGHT + QUARTER)
    assert account.windows[1:] == [
        ("2026-03-01 01:50:00", "2026-03-01 02:15:00", 1),
        ("2026-03-01 02:05:00", "2026-03-01 02:15:00", 1),
    ]
    assert contacts(world) == [("leadsquared:late",)]
    assert world.rows("select last_tick, backlog from integrations.syncs") == [(NIGHT + QUARTER, 0)]
    # An earlier tick has nothing left to read.
    assert world.run(leadsquared.pull, NIGHT - QUARTER)["ok"] == 1
    assert len(account.windows) == 3
    assert world.rows("select last_tick from integrations.syncs") == [(NIGHT + QUARTER,)]


def test_all_pages_are_read_and_the_window_moves_after_the_last_one_only(
    world: Connected, account: Account, outside: Service
) -> None:
    for number in range(8):
        account.add(f"p{number}", EmailAddress=f"p{number}@x.example")
    first = dict(world.rows("select what, last_tick from integrations.syncs"))
    assert first == {}

    def fail(number: int) -> None:
        if number == 3:
            outside.misbehave(*[BROKEN] * 4)

    account.before = lambda number: fail(number + 1)
    failed = world.run(leadsquared.pull)
    assert (failed["failed"], failed["succeeded"]) == (1, False)
    assert len(contacts(world)) == 6
    assert world.rows("select last_tick, backlog from integrations.syncs") == [(None, 2)]
    account.before = lambda number: None
    # The next tick goes on where this one stopped; what was modified since is for the one after.
    account.add("p9", NIGHT + MINUTE)
    account.windows.clear()
    done = world.run(leadsquared.pull, NIGHT + QUARTER)
    assert account.windows == [("2000-01-01 00:00:00", "2026-03-01 02:00:00", 3)]
    assert (done["ok"], done["rows"], done["leads"]) == (1, 2, 2)
    assert world.rows("select last_tick, pages from integrations.syncs") == [(NIGHT, {})]
    del account.leads[-1]
    before = world.dump(TABLES)
    world.run(leadsquared.pull)
    assert world.dump(TABLES) == before
    assert len(before) == 8


def test_a_lead_that_leaves_the_window_meanwhile_hides_no_other(
    world: Connected, account: Account
) -> None:
    for number in range(9):
        account.add(f"p{number}")

    def shift(number: int) -> None:
        # After the first page is read, a lead of it is modified again: all others move up.
        if number == 2 and len(account.leads) == 9:
            del account.leads[0]

    account.before = shift
    done = world.run(leadsquared.pull)
    assert [number for _, _, number in account.windows] == [1, 2, 1, 2, 3]
    assert done["ok"] == 1
    assert contacts(world) == [(f"leadsquared:p{number}",) for number in range(9)]


def test_a_window_that_is_gone_on_with_reads_the_pages_that_shifted(
    world: Connected, account: Account, outside: Service
) -> None:
    for number in range(9):
        account.add(f"p{number}")

    def fail(number: int) -> None:
        if number == 2:
            outside.misbehave(*[BROKEN] * 4)

    account.before = fail
    assert world.run(leadsquared.pull)["failed"] == 1
    account.before = lambda number: None
    # Between the two ticks a lead of the pages that were read is modified again.
    del account.leads[0]
    account.windows.clear()
    assert world.run(leadsquared.pull, NIGHT + QUARTER)["ok"] == 1
    assert [number for _, _, number in account.windows] == [3, 2, 3]
    assert contacts(world) == [(f"leadsquared:p{number}",) for number in range(9)]


@pytest.mark.parametrize(
    ("lead", "sentence"),
    [
        ("a text", "lead 2 of its page is none"),
        ({"FirstName": "No id"}, "lead 2 of its page has no ProspectID"),
        ({"ProspectID": "p2", "FirstName": "a\x00b"}, "leadsquared:p2: "),
    ],
    ids=["no object", "no id", "null byte"],
)
def test_a_poison_lead_is_named_and_counted_and_the_others_are_stored(
    world: Connected, account: Account, lead: Any, sentence: str
) -> None:
    account.add("p1")
    account.leads.append((NIGHT - MINUTE, lead))
    account.add("p3")
    done = world.run(leadsquared.pull)
    assert (done["ok"], done["leads_refused"], done["leads"]) == (1, 1, 3)
    assert done["refused_rows"][0].startswith(f"leadsquared of acme: {sentence}")
    assert contacts(world) == [("leadsquared:p1",), ("leadsquared:p3",)]


@pytest.mark.parametrize(
    ("mood", "said"),
    [
        (BROKEN, "answers 500"),
        (TRUNCATED, "cannot be reached"),
        (NO_JSON, "does not answer in JSON"),
        (OTHER_JSON, "JSON that is no object"),
        (Said({"RecordCount": 9, "Leads": []}), "counts 9 leads, and page 1 of them is empty"),
        (Said({"Leads": []}), "does not answer with RecordCount and Leads"),
    ],
    ids=["500", "truncated", "html", "list", "empty page", "no count"],
)
def test_an_account_that_misbehaves_stops_no_other(
    world: Connected, account: Account, outside: Service, mood: Said, said: str
) -> None:
    account.add("p1")
    own = account.answer
    outside.answer = lambda asked: own(asked) if asked.query["accessKey"] == ACCESS else mood
    world.connect("leadsquared", "umbra", url=outside.url, access_key="other-access-8",
                  secret_key="other-secret-8", per_5_seconds=5_000)  # fmt: skip
    done = world.run(leadsquared.pull)
    assert (done["ok"], done["failed"], done["succeeded"]) == (1, 1, True)
    assert contacts(world) == [("leadsquared:p1",)]
    [healthy, (organization, state, error)] = world.state("leadsquared")
    assert healthy == ("acme", "ok", None)
    assert (organization, state, said in error) == ("umbra", "failing", True)


def test_a_synchronization_without_progress_for_ten_ticks_is_overdue(
    world: Connected, account: Account, outside: Service
) -> None:
    outside.misbehave(*[BROKEN] * 4)
    world.run(leadsquared.pull)
    # The asset of these tests has a daily clock.
    overdue = "select overdue_at from integrations.syncs"
    assert world.rows(overdue) == [(NIGHT + dt.timedelta(days=10),)]
    world.run(leadsquared.pull, NIGHT + QUARTER)
    assert world.rows(overdue) == [(NIGHT + QUARTER + dt.timedelta(days=10),)]


def test_calls_of_an_account_are_spaced() -> None:
    fields = LEADSQUARED.validated(
        {"url": "https://x.example", "access_key": ACCESS, "secret_key": SECRET}
    )
    assert fields.per_5_seconds == 5  # type: ignore[attr-defined]


def test_the_keys_stand_nowhere_though_they_stand_in_the_url(
    world: Connected, account: Account, outside: Service, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    account.add("p1")
    outside.misbehave(
        Said({"ExceptionMessage": f"no such key {SECRET} of {ACCESS}"}, status=500),
        Said({"error": f"accessKey={ACCESS}"}, status=422),
    )
    world.run(leadsquared.pull)
    world.run(leadsquared.pull)
    outside.misbehave(Said({"message": SECRET}, status=401))
    world.run(leadsquared.pull)
    printed = capfd.readouterr()
    with world.installation.engine.connect() as connection:
        told = everything_in(connection) + caplog.text + printed.out + printed.err
    runs = world.installation.instance.get_runs()
    for run in runs:
        told += "".join(map(str, world.installation.instance.all_logs(run.run_id)))
    assert "leadsquared of acme" in told
    for secret in (ACCESS, SECRET, "u%24r-access", "s3cret%2Bkey"):
        assert secret not in told
