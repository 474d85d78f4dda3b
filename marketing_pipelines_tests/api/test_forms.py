"""The forms of sheets on the page for operators and in the command."""

import datetime as dt
from collections.abc import Iterator

import pytest

from marketing_pipelines_tests.api.browser import chromium
from marketing_pipelines_tests.api.conftest import Api
from marketing_pipelines_tests.api.serving import in_process
from marketing_pipelines_tests.api.test_pages import PAGES, sign_in
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.forms.google import HEADER, FormWorld, Google, row
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.service import service
from marketing_pipelines_tests.integrations.world import NIGHT
from marketing_pipelines_tests.scale import soak_only


@pytest.fixture
def world(installation: Installation) -> Iterator[FormWorld]:
    """A form that is read, one that fails, one without connection, one that is switched off."""
    with service() as outside:
        google = Google(outside)
        world = FormWorld(installation, google)
        world.sheet.extend([row(1), row(2), [row(3)[0], "", "<b>Eve</b>", ""]])
        world.read()
        del world.sheet[2]
        world.read(1)
        google.sheets["sheet-2", "<i>Answers</i>"] = [["<script>", *HEADER[2:]], row(1)]
        world.form(
            external_id="demo", name="<i>Demo</i>", spreadsheet_id="sheet-2", sheet="<i>Answers</i>"
        )
        world.form(external_id="old", spreadsheet_id="sheet-4", connection="google:lost")
        world.form(external_id="off", name=None, enabled=False)
        world.job(2)
        yield world


def test_page_and_command_show_each_form_with_its_reading_and_its_reason(
    world: FormWorld, api: Api
) -> None:
    sign_in(api, "read")
    shown = api.client.get(f"{PAGES}/forms").text
    at = f"{NIGHT + dt.timedelta(minutes=20):%Y-%m-%d %H:%M}"
    for text in (
        *("Contact us", "contact-us", "answers", "by google", at),
        '<td class="number">2</td>\n<td class="number">3</td>\n<td class="number">1</td>\n'
        '<td class="number">1</td>',
        *("&lt;i&gt;Demo&lt;/i&gt;", "&lt;i&gt;Answers&lt;/i&gt;", "&lt;script&gt;"),
        "The sheet has no column &#39;E-mail&#39;, and nothing is read",
        "Its connection google:lost waits: It is not set",
        "The form is not enabled.",
    ):
        assert text in shown, text
    assert "<i>" not in shown
    assert "Eve" not in shown
    # The command lists the same.
    lines = call_here("form", "list").stdout.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["contact-us", "demo", "off", "old"]
    assert "The sheet has no column 'E-mail'" in lines[2]
    assert call_here("form", "list", "--organization", "umbra").stdout.splitlines()[1:] == []


def test_page_and_command_show_submissions_without_contact_and_why(
    world: FormWorld, api: Api
) -> None:
    sign_in(api, "read")
    shown = api.client.get(f"{PAGES}/forms").text
    [reason] = world.submissions("reason", "contact_id is null")
    assert shown.count(reason) == 1
    [line] = call_here("form", "without-contact", "--form", "contact-us").stdout.splitlines()[1:]
    assert line.split()[:3] == ["acme", "contact-us", "3"]
    assert line.endswith(reason)
    for option, other in (("--form", "demo"), ("--organization", "umbra")):
        assert call_here("form", "without-contact", option, other).stdout.splitlines()[1:] == []


@pytest.mark.soak
@soak_only
def test_the_page_of_forms_fits_wide_and_narrow_screens(world: FormWorld, api: Api) -> None:
    api.bearer("read")
    with in_process(api.app) as address, chromium() as page:
        page.goto(f"{address}/admin")
        page.get_by_label("Token").fill(api.made["read"])
        page.get_by_role("button", name="Sign in").click()
        for width in (1400, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(f"{address}{PAGES}/forms")
            page.get_by_text("contact-us").wait_for()
            overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert overflow <= 0, width
