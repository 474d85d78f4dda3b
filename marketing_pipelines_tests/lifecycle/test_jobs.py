"""The assets that move contacts."""

import datetime as dt

import dagster as dg
import pytest

from marketing_pipelines.domains.campaigns.tables import CAMPAIGN
from marketing_pipelines.domains.lifecycle.progress import make_progress
from marketing_pipelines.runs.tags import TICK_TAG
from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at
from marketing_pipelines_tests.probe import run_probe
from marketing_pipelines_tests.scale import SOAK

MAIL = ("hello", "send_email", {"subject": "Hello", "text": "Hello"})


def test_a_campaign_moves_and_a_second_run_of_its_tick_writes_nothing(
    installation: Installation,
) -> None:
    world = ProgramWorld(installation.engine)
    program = world.program([MAIL, ("pause", "wait", {"for": "1d"})])
    world.enrol(program, world.contacts(3), at("03-02 10:00"))
    tick = instant("2026-03-02T10:05:00+00:00")
    (first,) = installation.run("campaigns/step_progress", at=tick, only=True)
    (second,) = installation.run("campaigns/step_progress", at=tick, only=True)
    assert [(first.status, first.rows), (second.status, second.rows)] == [
        ("COMPLETED", 3),
        ("COMPLETED", 0),
    ]
    assert world.messages() == {"hello": 3}
    (materialized,) = materializations(installation, "campaigns/step_progress")[:1]
    assert materialized["steps"].value == (
        "| step and outcome | contacts |\n| --- | --- |\n| send_email done | 3 |"
    )
    assert (materialized["taken"].value, materialized["left_behind"].value) == (3, 0)


def test_more_than_a_batch_is_moved_over_as_many_connections_as_are_set(
    installation: Installation,
) -> None:
    world = ProgramWorld(installation.engine)
    program = world.program([MAIL])
    world.enrol(program, world.contacts(400), at("03-02 10:00"))
    ran = run_probe(
        installation.engine,
        lambda tick: make_progress(tick, CAMPAIGN, batch=20),
        tags={TICK_TAG: "2026-03-02T10:05:00+00:00"},
    )
    [materialized] = ran.asset_materializations_for_node("probe__outcome")
    assert [
        materialized.metadata[name].value
        for name in ("rows", "batches", "connections", "left_behind")
    ] == [400, 20, 2, 0]
    assert world.messages() == {"hello": 400}


def test_a_step_that_cannot_be_done_is_a_failed_item_with_its_reason(
    installation: Installation,
) -> None:
    world = ProgramWorld(installation.engine)
    broken = world.program(
        [("fork", "branch", {"rule": {"attribute": "misspelt", "op": "exists"}})]
    )
    fine = world.program([MAIL], name="fine")
    contacts = world.contacts(2)
    world.enrol(broken, contacts, at("03-02 10:00"))
    world.enrol(fine, contacts, at("03-02 10:00"))
    (outcome,) = installation.run(
        "campaigns/step_progress", at=instant("2026-03-02T10:05:00+00:00"), only=True
    )
    assert (outcome.status, outcome.rows, outcome.items_failed) == ("COMPLETED", 4, 1)
    assert world.standing(fine) == {"completed": 2}
    assert world.standing(broken) == {"fork": 2}
    item = "campaign welcome of acme"
    reason = "attribute: no contact has or has had 'misspelt'."
    assert world.rows("select item, error from ops.item_failures") == [
        (item, f"step fork: {reason}")
    ]


@pytest.mark.soak
def test_no_job_that_is_run_again_or_backfilled_writes_an_intent(
    installation: Installation,
) -> None:
    world = ProgramWorld(installation.engine)
    steps = [
        MAIL,
        ("call", "create_task", {"title": "Call"}),
        ("tell", "webhook", {"url": "https://example.org/hook"}),
        ("link", "wait_for", {"event": "clicked", "timeout": "2d"}),
        ("text", "send_sms", {"text": "Hello"}),
    ]
    contacts = world.contacts(4)
    for kind in ("campaign", "sequence", "journey"):
        program = world.program(steps, kind=kind, started_at=at("03-01 00:00"))
        world.enrol(program, contacts, at("03-02 10:00"), kind=kind)
    world.event(contacts[:1], "clicked", at("03-02 10:07"))
    ticks = [instant(f"2026-03-0{day}T10:{minute}:00+00:00") for day, minute in TICKS]
    jobs = (
        "segments/memberships",
        "journeys/segment_entries",
        "campaigns/step_progress",
        "campaigns/sequence_progress",
        "journeys/step_progress",
        "campaigns/completions",
        "journeys/stale_executions",
        "campaigns/reports",
    )

    def run_all(ticks: list[dt.datetime]) -> None:
        for tick in ticks:
            for job in jobs:
                installation.run(job, at=tick, only=True)
        installation.run("analytics/campaign_daily_stats", "2026-03-02", "2026-03-02")

    run_all(ticks)
    intents = written(world)
    assert [len(rows) for rows in intents] == [3 * 4 * 2, 3 * 4, 3 * 4 * 5, 3 * 4]
    run_all(ticks if SOAK else ticks[1:2])
    assert written(world) == intents


TICKS = [(2, "05"), (2, "10"), (4, "05"), *([(4, "10")] if SOAK else [])]


def written(world: ProgramWorld) -> list[list[tuple[object, ...]]]:
    """Messages, tasks, results and deliveries of webhooks."""
    return [
        world.rows(f"select * from {table} order by 1, 2")
        for table in (
            "delivery.messages",
            "crm.tasks",
            "lifecycle.step_results",
            "webhooks.deliveries",
        )
    ]


def test_programs_of_one_name_in_two_organizations_fail_and_recover_each_by_itself(
    installation: Installation,
) -> None:
    fork = ("fork", "branch", {"rule": {"attribute": "city", "op": "exists"}})
    worlds = [ProgramWorld(installation.engine, name=name) for name in ("acme", "zenith")]
    for world, city in zip(worlds, ['{"city": "Bern"}', "{}"], strict=True):
        program = world.program([fork])
        world.enrol(program, world.contacts(2, attributes=city), at("03-02 10:00"))
    for minute in ("05", "10", "15"):
        installation.run(
            "campaigns/step_progress", at=instant(f"2026-03-02T10:{minute}:00+00:00"), only=True
        )
    assert worlds[0].rows("select item, consecutive from ops.item_failures") == [
        ("campaign welcome of zenith", 3)
    ]
    assert worlds[0].rows("select item from ops.incidents where recovered_at is null") == [
        ("campaign welcome of zenith",)
    ]


def test_the_check_names_what_fails_also_when_this_run_did_not_look_at_it(
    installation: Installation,
) -> None:
    world = ProgramWorld(installation.engine)
    fork = ("fork", "branch", {"rule": {"attribute": "misspelt", "op": "exists"}})
    broken, fine = world.program([fork]), world.program([MAIL], name="fine")
    contacts = world.contacts(1)
    for program in (broken, fine):
        world.enrol(program, contacts, at("03-02 10:00"))
    job = "campaigns/step_progress"
    installation.run(job, at=instant("2026-03-02T10:05:00+00:00"), only=True)
    world.set_status(broken, "paused")
    installation.run(job, at=instant("2026-03-02T10:10:00+00:00"), only=True)
    for check in checks(installation, job):
        assert not check.passed
        assert "| campaign welcome of acme | step fork: attribute: no contact" in str(
            check.metadata["failing"].value
        )


def materializations(
    installation: Installation, job: str
) -> list[dict[str, dg.MetadataValue[object]]]:
    """The metadata of an asset's materializations, oldest first."""
    records = installation.instance.fetch_materializations(
        dg.AssetKey(job.split("/")), limit=10, ascending=True
    ).records
    return [dict(r.asset_materialization.metadata) for r in records if r.asset_materialization]


def checks(installation: Installation, job: str) -> list[dg.AssetCheckEvaluation]:
    """The evaluations of the check of a job's items."""
    key = dg.AssetCheckKey(dg.AssetKey(job.split("/")), "every_item_done")
    storage = installation.instance.event_log_storage
    found = [
        record.event.dagster_event.asset_check_evaluation_data
        for record in storage.get_asset_check_execution_history(key, limit=10)
        if record.event is not None and record.event.dagster_event is not None
    ]
    assert len(found) == 2
    return found
