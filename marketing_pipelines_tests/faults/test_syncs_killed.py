"""A synchronization whose process is killed during a call: the next run completes it."""

import json
import os
import signal
import subprocess
from typing import Any

import pytest

from marketing_pipelines.domains.integrations import contact_enrichment, leadsquared, web_urls
from marketing_pipelines_tests.cli.console import start
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.service import Asked, Said, Service, service
from marketing_pipelines_tests.integrations.world import NIGHT, Connected
from marketing_pipelines_tests.scale import soak_only

pytestmark = pytest.mark.fault
CONTACTS = "select external_id, attributes, enriched_at from crm.contacts order by id"


def killed_in_call(outside: Service, place: int, job: str, answer: Any) -> None:
    """Runs a job in a process of its own and kills it while its call of this number waits."""
    running: list[subprocess.Popen[str]] = []

    def kill(asked: Asked) -> Said | None:
        if len(outside.asked) == place:
            os.killpg(running[0].pid, signal.SIGKILL)
            return None
        said: Said = answer(asked)
        return said

    outside.answer = kill
    with start("run", job, "--at", f"{NIGHT:%Y-%m-%dT%H:%M:%S}") as process:
        running.append(process)
        process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    outside.answer = answer


def test_enrichment_asks_no_more_than_one_call_twice(shared_installation: Installation) -> None:
    world = Connected(shared_installation)
    world.contacts(*[{} for _ in range(35)])
    with service() as outside:
        world.connect("enrichment", url=outside.url, api_key="key-of-night", per_minute=9_000)

        def answer(asked: Asked) -> Said:
            found = [{"title": one["email"].upper()} for one in asked.body["details"]]
            return Said({"matches": found})

        killed_in_call(outside, 2, "leads/contact_enrichment", answer)
        assert len([row for row in world.rows(CONTACTS) if row[2]]) == 10
        assert world.run(contact_enrichment.enrich)["ok"] == 1
        questions = [one["email"] for asked in outside.asked for one in asked.body["details"]]
    twice = {one for one in questions if questions.count(one) > 1}
    assert (len(set(questions)), len(twice), len(questions)) == (35, 10, 45)
    assert world.rows(CONTACTS) == [
        (f"c{n}", {"title": f"C{n}@X.EXAMPLE"}, NIGHT) for n in range(1, 36)
    ]


@pytest.mark.soak
@soak_only
def test_leadsquared_goes_on_with_its_window_and_leaves_the_same_contacts(
    shared_installation: Installation,
) -> None:
    world = Connected(shared_installation)
    world.execute("delete from ops.bus_events")
    count = 2 * leadsquared.PAGE_SIZE + 1

    def answer(asked: Asked) -> Said:
        paging = asked.body["Paging"]
        first = (paging["PageIndex"] - 1) * paging["PageSize"]
        leads = [
            {"LeadPropertyList": [{"Attribute": "ProspectID", "Value": f"p{n}"}]}
            for n in range(first, min(first + paging["PageSize"], count))
        ]
        return Said({"RecordCount": count, "Leads": leads})

    with service() as outside:
        world.connect("leadsquared", url=outside.url, access_key="access-key-1",
                      secret_key="secret-key-1", per_5_seconds=9_000)  # fmt: skip
        killed_in_call(outside, 2, "leads/leadsquared", answer)
        assert world.rows("select count(*) from crm.contacts") == [(leadsquared.PAGE_SIZE,)]
        assert world.rows("select last_tick from integrations.syncs") == [(None,)]
        done = world.run(leadsquared.pull)
        windows = {json.dumps(asked.body["Parameter"]) for asked in outside.asked}
    rest = count - leadsquared.PAGE_SIZE
    assert (done["ok"], done["leads"], done["rows"]) == (1, rest, rest)
    assert len(windows) == 1
    assert world.rows("select count(*), count(distinct external_id) from crm.contacts") == [
        (count, count)
    ]
    announced = world.rows(
        "select case when contact_id is null then payload -> 'contacts'"
        " else to_jsonb(array[contact_id]) end from ops.bus_events"
        " where type = 'contact.created'"
    )
    numbers = [number for (numbers,) in announced for number in numbers]
    assert (len(numbers), len(set(numbers))) == (count, count), "each is announced once"


@pytest.mark.soak
@soak_only
def test_web_urls_of_a_listing_that_was_read_in_part_are_complete_after_the_next_run(
    shared_installation: Installation,
) -> None:
    world = Connected(shared_installation)

    def answer(asked: Asked) -> Said:
        page = int(asked.query.get("cursor", "0"))
        items = [
            {"id": f"d{page}{n}", "name": "D", "url": f"https://x.example/{page}{n}"}
            for n in range(2)
        ]
        return Said(
            {"items": items, "next": str(page + 1) if page < 2 else None},
            headers={"ETag": f'"page {page}"'},
        )

    there = "select external_id from crm.destinations where gone_at is null order by 1"
    with service() as outside:
        world.connect("content_service", url=outside.url, token="token-of-night")
        killed_in_call(outside, 2, "leads/web_urls", answer)
        assert world.rows(there) == [("d00",), ("d01",)]
        assert world.rows("select last_ok_at from integrations.syncs") == [(None,)]
        done = world.run(web_urls.fetch)
    assert (done["ok"], done["rows"], done["gone"]) == (1, 4, 0)
    assert world.rows(there) == [(f"d{page}{n}",) for page in range(3) for n in range(2)]
