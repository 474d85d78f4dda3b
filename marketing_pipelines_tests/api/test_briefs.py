"""The page of briefs of meetings."""

import datetime as dt

from marketing_pipelines_tests.api.conftest import Api
from marketing_pipelines_tests.api.test_pages import PAGES, sign_in
from marketing_pipelines_tests.installation import Installation

AT = dt.datetime(2026, 3, 30, 9, tzinfo=dt.UTC)
HALF_HOUR = dt.timedelta(minutes=30)


def test_the_page_shows_each_brief_with_the_rows_of_its_statements(
    installation: Installation, api: Api
) -> None:
    sign_in(api, "read")
    assert "None. <code>sales/meeting_briefs</code>" in api.client.get(f"{PAGES}/briefs").text
    installation.execute(
        "with own as (insert into crm.organizations (external_id) values ('acme') returning id),"
        " ann as (insert into crm.users (organization_id, external_id, name)"
        " select id, 'ann', 'Ann <Lee>' from own returning id)"
        " insert into crm.meetings"
        " (organization_id, external_id, title, starts_at, owner_id, attendees)"
        " select own.id, 'm', '<b>Review</b>', :starts, ann.id, array['x@y.example'] from own, ann",
        starts=AT + HALF_HOUR,
    )
    installation.run("sales/meeting_briefs", at=AT)
    shown = api.client.get(f"{PAGES}/briefs").text
    for text in (
        "Meeting in 30 minutes: x@y.example (not known)",
        "acme, &lt;b&gt;Review&lt;/b&gt;: begins ",
        "2026-03-30 09:30",
        ", owner Ann &lt;Lee&gt;; written ",
        "by rules",
        '<li>Not known: x@y.example <span class="quiet">meeting:1</span></li>',
        "<li>What are the top 3 pain points?</li>",
    ):
        assert text in shown
    assert "outdated</span>" not in shown
    [(link,)] = installation.rows(
        "select substring(text from '/admin/pages/briefs.meeting=[0-9]+$') from crm.notifications"
    )
    assert "Meeting in 30 minutes" in api.client.get(link).text
    assert "Meeting in 30 minutes" not in api.client.get(f"{PAGES}/briefs?meeting=99").text
    installation.execute("update crm.meetings set starts_at = starts_at + interval '1 day'")
    assert "outdated</span>" in api.client.get(f"{PAGES}/briefs").text
