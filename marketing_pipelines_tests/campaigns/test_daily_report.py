"""The daily report: its numbers, its days, its one mail for each admin and day, its looks."""

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa

from marketing_pipelines.definitions import defs
from marketing_pipelines.domains.analytics.tables import campaign_daily_stats
from marketing_pipelines.domains.campaigns.daily_reports.numbers import (
    MAIL,
    ReportPeriod,
    read_reports,
)
from marketing_pipelines.domains.delivery.rendering import fill_in
from marketing_pipelines.jobs.scheduling import job_name
from marketing_pipelines.running import RunFailedError
from marketing_pipelines.runs.tags import TICK_TAG, TRIGGER_TAG
from marketing_pipelines_tests.api.browser import chromium
from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.lifecycle.world import ProgramWorld
from marketing_pipelines_tests.scale import soak_only

JOB = "analytics/daily_report"
# A Monday, whose report covers Friday the 6th to Sunday the 8th.
MONDAY = instant("2026-03-09T08:00+00:00")
LONG = "Spring sale with a name that is much longer than a column, <b>and bold</b> " * 2
MAILS = "select user_id, variables ->> 'title' from delivery.messages order by id"


@pytest.fixture
def world(emptied: Installation) -> ProgramWorld:
    found = ProgramWorld(emptied.engine)
    found.execute(
        "insert into crm.users (organization_id, external_id, email, role, active, notify_by_mail)"
        " select id, login, address, role, active, mails from crm.organizations cross join (values"
        " ('ann', 'ann@acme.example', 'admin', true, null), ('bob', null, 'admin', true, null),"
        " ('cid', 'cid@acme.example', 'admin', false, null),"
        " ('dan', 'dan@acme.example', 'admin', true, false),"
        " ('eve', 'eve@acme.example', 'admin', true, true),"
        " ('fay', 'fay@acme.example', 'rep', true, true))"
        " as staff (login, address, role, active, mails)"
    )
    for name in (LONG, "quiet", "old"):
        found.program([], name=name)
    numbers = dict(emptied.rows("select external_id, id from campaigns.campaigns"))
    days = (
        (LONG, "2026-03-06", 100, 90, 30),
        (LONG, "2026-03-07", 10, 10, 5),
        (LONG, "2026-03-08", 1, 0, 1),
        (LONG, "2026-03-05", 7_000, 7_000, 0),
        (LONG, "2026-02-27", 40, 40, 20),
        (LONG, "2026-03-01", 2, 2, 0),
        ("quiet", "2026-03-06", 0, 0, 0),
        ("old", "2026-02-28", 500, 500, 100),
    )
    zeros = {one.name: 0 for one in campaign_daily_stats.c if not one.primary_key}
    with emptied.engine.begin() as connection:
        for name, day, sent, delivered, opened in days:
            connection.execute(
                sa.insert(campaign_daily_stats).values(
                    zeros
                    | {"campaign_id": numbers[name], "organization_id": found.organization_id}
                    | {"date": dt.date.fromisoformat(day), "sent": sent}
                    | {"delivered": delivered, "opened": opened}
                )
            )
    counted(emptied, "2026-03-08")
    return found


def counted(installation: Installation, day: str) -> None:
    installation.execute(
        "insert into analytics.finished_partitions (asset, partition, finished_at, rows)"
        " values ('analytics/campaign_daily_stats', :day, now(), 0)",
        day=day,
    )


def scheduled(installation: Installation, at: dt.datetime = MONDAY) -> None:
    """Runs the job as its schedule does."""
    defs.resolve_job_def(job_name(JOB)).execute_in_process(
        instance=installation.instance,
        tags={TICK_TAG: at.isoformat(), TRIGGER_TAG: "schedule"},
    )


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        ("2026-03-09", "2026-03-06", "2026-03-08"),
        ("2026-03-10", "2026-03-09", "2026-03-09"),
        ("2026-03-13", "2026-03-12", "2026-03-12"),
        ("2026-03-08", "2026-03-06", "2026-03-07"),
    ],
)
def test_the_period_begins_with_the_working_day_before(day: str, first: str, last: str) -> None:
    found = ReportPeriod.before(dt.date.fromisoformat(day))
    assert (str(found.first), str(found.last)) == (first, last)


def test_numbers_are_those_of_the_query_over_the_period(
    world: ProgramWorld, emptied: Installation
) -> None:
    with emptied.engine.connect() as connection:
        [report] = read_reports(
            connection, ReportPeriod.before(MONDAY.date()), emptied.settings.zone
        )
    [expected] = emptied.rows(
        f"select {', '.join(f'sum({name})' for name in MAIL)} from analytics.campaign_daily_stats"
        " where date between '2026-03-06' and '2026-03-08'"
    )
    assert tuple(report.total[name] for name in MAIL) == expected
    assert (report.total["sent"], report.total["opened"]) == (111, 36)
    assert report.total.rate("opened") == 36 / 100
    assert report.total.rate("delivered") == 100 / 111
    assert [(one.name, one.before["sent"]) for one in report.campaigns] == [(LONG, 42)]


def test_each_admin_gets_one_mail_for_a_day_and_a_run_by_hand_sends_none(
    world: ProgramWorld, emptied: Installation
) -> None:
    [by_hand] = emptied.run(JOB, at=MONDAY)
    assert (by_hand.status, by_hand.rows) == ("COMPLETED", 1)
    assert emptied.rows(MAILS) == []
    scheduled(emptied)
    title = "Daily report – Fri, Mar 6 to Sun, Mar 8, 2026"
    users = dict(emptied.rows("select external_id, id from crm.users"))
    assert emptied.rows(MAILS) == [(users["ann"], title), (users["eve"], title)]
    scheduled(emptied, MONDAY + dt.timedelta(minutes=20))
    assert len(emptied.rows(MAILS)) == 2
    counted(emptied, "2026-03-09")
    # Nothing happened on Monday, so that Tuesday's report has nobody to tell.
    scheduled(emptied, MONDAY + dt.timedelta(days=1))
    assert len(emptied.rows(MAILS)) == 2
    emptied.execute('update crm.organizations set settings = \'{"reports": {"send_empty": true}}\'')
    scheduled(emptied, MONDAY + dt.timedelta(days=1, minutes=20))
    assert len(emptied.rows(MAILS)) == 4


def test_the_report_waits_for_the_numbers_of_its_last_day(
    world: ProgramWorld, emptied: Installation
) -> None:
    emptied.execute("delete from analytics.finished_partitions")
    with pytest.raises(RunFailedError, match="has not counted 2026-03-08 yet"):
        emptied.run(JOB, at=MONDAY)


@pytest.mark.soak
@soak_only
def test_page_mail_and_picture_can_be_read_on_wide_and_narrow_screens(
    world: ProgramWorld, emptied: Installation, tmp_path: Path
) -> None:
    world.execute(
        "insert into ops.item_failures (job, item, consecutive, first_failed_at, last_failed_at,"
        " error) values ('inbox/email_messages', 'mailbox m1 of acme', 3, now(), now(), 'No way.'),"
        " ('inbox/email_messages', 'mailbox m2 of other', 3, now(), now(), 'Elsewhere.')"
    )
    scheduled(emptied)
    folder = Path(emptied.settings.reports_url) / "daily" / "acme"
    page = (folder / "2026-03-08.html").read_text(encoding="utf-8")
    assert "<b>and bold" not in page
    assert "mailbox m1 of acme: No way." in page
    assert "Elsewhere" not in page
    picture = (folder / "2026-03-08.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n")
    [(content, variables)] = emptied.rows(
        "select content, variables from delivery.messages join delivery.contents"
        " on contents.id = content_id limit 1"
    )
    (tmp_path / "mail.html").write_text(fill_in(content, variables)["html"])
    (tmp_path / "page.html").write_text(page)
    (tmp_path / "picture.png").write_bytes(picture)
    for width in (1_280, 390):
        with chromium(viewport={"width": width, "height": 900}) as browser:
            for name in ("mail.html", "page.html"):
                browser.goto((tmp_path / name).as_uri())
                assert browser.evaluate("document.documentElement.scrollWidth") <= width
                assert "111" in browser.inner_text("body")
                browser.screenshot(path=tmp_path / f"{name}-{width}.png", full_page=True)
