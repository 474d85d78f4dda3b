"""`why --contact` lists each point of a score, its rule, its row and its decay."""

import datetime as dt
import re
from pathlib import Path

import pytest

from marketing_pipelines.domains.leads.score_rules import SHIPPED
from marketing_pipelines.locations import PACKAGE
from marketing_pipelines_tests.cli.console import call_here, refusal_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.leads.world import DAY, INSTANT, LeadWorld

PAGE = PACKAGE.parent / "docs" / "leads.md"
AT = dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC)


@pytest.fixture
def world(installation: Installation) -> LeadWorld:
    return LeadWorld(installation)


def test_each_point_with_its_rule_row_and_decay(world: LeadWorld) -> None:
    ann = world.contact(email="ann@example.org", first_name="Ann")
    world.contact("ann2", email=" Ann@Example.org")
    demo = world.event(ann, "demo_request", AT - 2 * DAY)
    click = world.event(ann, "clicked", AT - dt.timedelta(hours=1))
    world.event(ann, "page_view", AT + INSTANT)
    world.execute(
        "insert into crm.opportunities (organization_id, external_id, contact_id, travel_date,"
        " score, created_at) values (:own, 'trip', :ann, '2026-03-25', 5, '2026-01-01Z')",
        ann=ann,
    )
    world.execute(
        "insert into leads.opportunity_points (organization_id, opportunity_id, date, points)"
        " select organization_id, id, date '2026-03-18' + day, 20 from crm.opportunities"
        " cross join generate_series(0, 5) as day"
    )
    asked = ("why", "--contact", "ann", "--organization", world.name)
    lines = call_here(*asked, "--at", "2026-03-20T13:00:00+01:00").stdout.splitlines()
    assert lines == [
        "ann at 2026-03-20T12:00:00Z:",
        "intent score 56, band high",
        f"     46  demo_request 50 - 2 d × 2  ← event {demo} at 2026-03-18T12:00:00Z",
        f"     10  clicked 10  ← event {click} at 2026-03-20T11:00:00Z",
        "lead score 35, grade D",
        "      5  Has an e-mail address (email): 5",
        '           {"attribute": "email", "op": "exists"}  ← email is "ann@example.org"',
        "      5  Days with clicks (clicks): 5 a day, at most 15",
        f'           {{"event": "clicked", "within": "30d"}}  ← 1 event {click} at '
        "2026-03-20T11:00:00Z",
        "     25  Asked for a demo (demo): 25",
        f'           {{"event": "demo_request", "within": "180d"}}  ← 1 event {demo} at '
        "2026-03-18T12:00:00Z",
        "opportunity trip: score 45, base 5 and 40 of 2 days",
        "Attributes and segments are those of now; events are those before the instant.",
        "Other contacts with its e-mail address: ann2.",
        "ann is at the stage lead, since it has none.",
        "No job has moved it.",
    ]
    earlier = call_here(*asked, "--at", "2026-03-18T12:00:00Z").stdout.splitlines()
    assert earlier[1:4] == [
        "intent score 0, band low",
        "      no signal counts",
        "lead score 5, grade F",
    ]


def test_without_an_instant_the_stored_scores_stand_beside(world: LeadWorld) -> None:
    world.contact(intent_score=12, intent_band="low", lead_score=40, lead_grade="C")
    shown = call_here("why", "--contact", "ann").stdout.splitlines()
    assert shown[-3] == "stored: intent score 12, band low; lead score 40, grade C"


def test_an_instant_is_one_and_for_scores_alone(
    world: LeadWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.contact()
    assert refusal_here(capsys, "why", "--contact", "ann", "--at", "noon", code=2) == (
        "--at 'noon' is no instant such as 2026-03-01T13:00:00Z."
    )
    asked = ("why", "--contact", "ann", "--campaign", "x", "--at", "2026-03-01T13:00:00Z")
    assert refusal_here(capsys, *asked, code=2) == (
        "--at is for scores: leave it out, or name no program or segment."
    )


def test_the_page_shows_what_the_program_prints(installation: Installation, tmp_path: Path) -> None:
    blocks = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    files = [text for kind, text in blocks if kind == "csv"]
    for kind, text in zip(("contacts", "events"), files, strict=False):
        path = tmp_path / f"{kind}.csv"
        path.write_text(text)
        assert installation.load(kind, path).rejected == 0
    [expected] = [text for kind, text in blocks if kind == "text"]
    asked = ("why", "--contact", "ann", "--organization", "acme", "--at", "2026-03-20T12:00:00Z")
    assert call_here(*asked).stdout == expected


def test_the_page_lists_the_shipped_rules() -> None:
    listed = re.findall(
        r"^\| `(\w+)` \| (.+?) \| (-?\d+) \| (once|each|per_day) \| (\d*) ?\|$",
        PAGE.read_text(),
        re.MULTILINE,
    )
    assert listed == [
        (one.external_id, one.name, str(one.points), one.counts, str(one.most or ""))
        for one in SHIPPED
    ]
