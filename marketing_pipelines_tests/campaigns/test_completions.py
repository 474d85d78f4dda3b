"""A campaign is completed when its last contact has finished, and never before."""

import threading
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from marketing_pipelines.definitions import defs
from marketing_pipelines.domains.campaigns import completions
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.runs.items import ItemFailures
from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.programs import Programs
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

NOW = instant("2026-03-10T12:00Z")
NINE, TEN, ELEVEN = (instant(f"2026-03-10T{hour:02}:00Z") for hour in (9, 10, 11))
JOB = "campaigns__completions_job"


def run(programs: Programs) -> Any:
    [outcome] = programs.installation.run("campaigns/completions", at=NOW)
    return outcome


def state(programs: Programs, campaign: int) -> tuple[Any, ...]:
    [row] = programs.installation.rows(
        "select status, completed_at from campaigns.campaigns where id = :id", id=campaign
    )
    return row


def finished_campaign(programs: Programs, name: str = "spring", **columns: Any) -> int:
    campaign = programs.program("campaign", name, **columns)
    programs.finish(programs.enrol("campaign", campaign, f"{name} ann"), "completed", TEN)
    return campaign


def judge(connection: sa.Connection) -> list[str]:
    """Does the job's work inside its transaction."""
    items = ItemFailures(completions.JOB, NOW).attempts
    return [one.campaign for one in completions.complete_all(connection, NOW, items)]


def test_a_campaign_is_completed_as_of_the_latest_finish_of_its_contacts(
    programs: Programs,
) -> None:
    campaign = programs.program("campaign", "spring")
    for contact, status, at in (
        ("ann", "completed", NINE),
        ("bob", "exited", ELEVEN),
        ("cid", "failed", TEN),
    ):
        programs.finish(programs.enrol("campaign", campaign, contact), status, at)
    assert run(programs).rows == 1
    assert state(programs, campaign) == ("completed", ELEVEN)


def test_it_is_told_once_and_shown(programs: Programs) -> None:
    campaign = finished_campaign(programs, name="spring")
    run(programs)
    run(programs)
    assert programs.installation.rows(
        "select type, payload from ops.bus_events where type like 'campaign.%'"
    ) == [
        (
            "campaign.completed",
            {
                "campaign_id": campaign,
                "campaign": "spring",
                "completed_at": "2026-03-10T10:00:00Z",
                "tick": "2026-03-10T12:00:00Z",
            },
        )
    ]
    materialized = programs.installation.instance.fetch_materializations(
        dg.AssetKey(["campaigns", "completions"]), limit=2
    )
    tables = [r.asset_materialization.metadata["completed"].value for r in materialized.records]
    assert "| spring | None | 2026-03-10 10:00 UTC |" in tables[1]
    assert "spring" not in tables[0]


@pytest.mark.fault(27)
def test_fault_27_a_campaign_that_was_just_activated_and_has_no_contacts_is_left_alone(
    programs: Programs,
) -> None:
    campaign = programs.program("campaign", "new")
    assert run(programs).rows == 0
    assert state(programs, campaign) == ("active", None)


@pytest.mark.parametrize("status", ["draft", "scheduled", "paused", "cancelled", "imported"])
def test_a_campaign_that_is_not_active_is_left_alone(programs: Programs, status: str) -> None:
    campaign = finished_campaign(programs, status=status)
    assert run(programs).rows == 0
    assert state(programs, campaign) == (status, None)


def test_a_paused_campaign_is_completed_after_it_was_resumed(programs: Programs) -> None:
    campaign = finished_campaign(programs, status="paused")
    run(programs)
    programs.set_status("campaign", campaign, "active")
    run(programs)
    assert state(programs, campaign) == ("completed", TEN)


def test_a_contact_that_waits_is_under_way(programs: Programs) -> None:
    campaign = finished_campaign(programs)
    programs.enrol(
        "campaign", campaign, "bob", next_step_at=instant("2026-04-10T12:00Z"), awaits="clicked"
    )
    assert run(programs).rows == 0
    assert state(programs, campaign) == ("active", None)


def test_the_last_contact_that_finishes_completes_it(programs: Programs) -> None:
    campaign = finished_campaign(programs)
    last = programs.enrol("campaign", campaign, "bob")
    assert run(programs).rows == 0
    programs.finish(last, "exited", ELEVEN)
    assert run(programs).rows == 1
    assert state(programs, campaign) == ("completed", ELEVEN)


def test_a_contact_that_comes_again_is_under_way_again(programs: Programs) -> None:
    campaign = finished_campaign(programs)
    programs.enrol("campaign", campaign, "spring ann", rotation=2)
    assert run(programs).rows == 0


@pytest.mark.parametrize(
    ("audience", "trigger", "completed"),
    [
        ("closed", {"type_": "event", "event_type": "signed_up"}, True),
        ("open", None, True),
        ("open", {"type_": "event", "event_type": "signed_up"}, False),
        ("open", {"type_": "date", "config": {"attribute": "born"}}, False),
        ("open", {"type_": "event", "event_type": "signed_up", "enabled": False}, True),
        ("open", {"type_": "segment"}, True),
        ("open", {"type_": "segment", "segment": "bernese"}, False),
    ],
)
def test_an_open_audience_counts_while_something_lets_contacts_in(
    programs: Programs, audience: str, trigger: dict[str, Any] | None, completed: bool
) -> None:
    campaign = finished_campaign(programs, audience=audience)
    given = dict(trigger or {})
    if "segment" in given:
        given["segment_id"] = programs.segment(given.pop("segment"))
    if given:
        programs.trigger("campaign", campaign, **given)
    run(programs)
    assert state(programs, campaign)[0] == ("completed" if completed else "active")


def test_the_trigger_of_a_journey_with_the_same_number_keeps_no_campaign_open(
    programs: Programs,
) -> None:
    campaign = finished_campaign(programs, audience="open")
    journey = programs.program("journey", "welcome", id=campaign)
    programs.trigger("journey", journey, "event", event_type="signed_up")
    programs.enrol("journey", journey, "bob")
    assert run(programs).rows == 1


def test_a_second_run_of_the_same_tick_changes_nothing(programs: Programs) -> None:
    campaign = finished_campaign(programs)
    run(programs)
    before = programs.installation.rows("select c.*, c.xmin from campaigns.campaigns as c")
    assert run(programs).rows == 0
    after = programs.installation.rows("select c.*, c.xmin from campaigns.campaigns as c")
    assert before == after
    assert state(programs, campaign) == ("completed", TEN)


ENROL = sa.text(
    "insert into lifecycle.enrolments (organization_id, program_kind, program_id, contact_id,"
    " entered_at) values (:organization, 'campaign', :campaign, :contact, :at)"
)


@pytest.mark.parametrize("commits", [True, False])
def test_a_contact_of_a_transaction_that_is_not_committed_keeps_it_active(
    programs: Programs, commits: bool
) -> None:
    campaign, other = finished_campaign(programs), finished_campaign(programs, "autumn")
    values = {"organization": programs.organization, "campaign": campaign, "at": NOW}
    with programs.installation.engine.connect() as adding:
        adding.execute(ENROL, values | {"contact": programs.contact("bob")})
        assert run(programs).rows == 1
        assert state(programs, campaign) == ("active", None)
        assert state(programs, other)[0] == "completed"
        if commits:
            adding.commit()
        else:
            adding.rollback()
    run(programs)
    assert state(programs, campaign)[0] == ("active" if commits else "completed")


def test_a_contact_that_was_added_after_the_candidates_were_read_wins(programs: Programs) -> None:
    """It is committed after the job looked and before it locks: the guarded update sees it."""
    campaign = finished_campaign(programs)
    with programs.installation.engine.begin() as judging:
        judging.execute(sa.select(completions.campaigns).where(completions._is_over())).one()
        programs.enrol("campaign", campaign, "bob")
        assert completions.complete(judging, campaign, NOW) is None
    assert state(programs, campaign) == ("active", None)


def test_a_contact_that_comes_while_it_is_completed_wins(programs: Programs) -> None:
    campaign = finished_campaign(programs)
    adding = threading.Thread(target=programs.enrol, args=("campaign", campaign, "bob"))
    programs.contact("bob")
    with programs.installation.engine.begin() as judging:
        assert judge(judging) == ["spring"]
        adding.start()
        until(lambda: waits_for_a_lock(programs.installation.engine))
    adding.join()
    assert state(programs, campaign) == ("active", None)
    assert run(programs).rows == 0


def test_a_contact_that_comes_later_has_a_campaign_with_steps_go_on(programs: Programs) -> None:
    """A file is loaded in batches: between two of them all who are there may have finished."""
    campaign = finished_campaign(programs)
    programs.step("campaign", campaign, "hello", "exit")
    run(programs)
    programs.enrol("campaign", campaign, "bob", status="exited", exited_at=ELEVEN)
    assert state(programs, campaign) == ("completed", TEN), "history"
    late = programs.enrol("campaign", campaign, "cid")
    programs.enrol("campaign", campaign, "dan", status="exited", exited_at=NINE)
    assert state(programs, campaign) == ("active", None)
    programs.finish(late, "completed", ELEVEN)
    run(programs)
    assert state(programs, campaign) == ("completed", ELEVEN)


def test_a_completed_campaign_without_steps_stays_so(programs: Programs) -> None:
    """It was loaded from elsewhere, with its contacts as they stood there."""
    campaign = finished_campaign(programs)
    run(programs)
    programs.enrol("campaign", campaign, "bob")
    assert state(programs, campaign) == ("completed", TEN)


@pytest.mark.parametrize("status", ["draft", "scheduled", "paused", "cancelled", "imported"])
def test_a_contact_activates_no_campaign_that_was_not_completed(
    programs: Programs, status: str
) -> None:
    campaign = programs.program("campaign", "spring", status=status)
    programs.step("campaign", campaign, "hello", "exit")
    programs.enrol("campaign", campaign, "bob")
    assert state(programs, campaign) == (status, None)


def test_two_completions_at_once_complete_it_once(programs: Programs) -> None:
    campaign = finished_campaign(programs)
    with programs.installation.engine.begin() as one, programs.installation.engine.begin() as two:
        assert judge(one) == ["spring"]
        assert judge(two) == []
    assert state(programs, campaign) == ("completed", TEN)
    assert programs.installation.rows(
        "select count(*) from ops.bus_events where type = 'campaign.completed'"
    ) == [(1,)]


def asks(installation: Installation) -> bool:
    """True if the sensor asks for a run."""
    repository = defs.get_repository_def()
    with dg.build_sensor_context(
        instance=installation.instance,
        repository_def=repository,
        resources={"postgres": Postgres()},
    ) as context:
        sensor = repository.get_sensor_def("finished_campaigns_sensor")
        return bool(sensor.evaluate_tick(context).run_requests)


def test_the_sensor_asks_until_what_is_over_is_completed(programs: Programs) -> None:
    installation = programs.installation
    programs.program("campaign", "new")
    assert not asks(installation)
    finished_campaign(programs)
    assert asks(installation)
    assert asks(installation), "a lost request is asked for again"
    run(programs)
    assert not asks(installation)


def test_the_sensor_waits_for_a_run_that_is_under_way(programs: Programs) -> None:
    finished_campaign(programs)
    instance = programs.installation.instance
    run_under_way = instance.create_run_for_job(
        defs.resolve_job_def(JOB), status=dg.DagsterRunStatus.STARTED, asset_selection=None
    )
    assert not asks(programs.installation)
    instance.delete_run(run_under_way.run_id)
    assert asks(programs.installation)


def test_each_campaign_is_looked_up_by_index_however_few_there_are(programs: Programs) -> None:
    """The sensor asks each minute: reading all enrolments would take seconds at a million."""
    programs.installation.execute(
        "insert into crm.contacts (organization_id, external_id)"
        " select :organization, 'c' || n from generate_series(1, 3000) as n",
        organization=programs.organization,
    )
    for name in ("spring", "autumn"):
        campaign = programs.program("campaign", name)
        programs.installation.execute(
            "insert into lifecycle.enrolments (organization_id, program_kind, program_id,"
            " contact_id, status, entered_at, completed_at)"
            " select organization_id, 'campaign', :campaign, id, 'completed', :at, :at"
            " from crm.contacts",
            campaign=campaign,
            at=NINE,
        )
    programs.installation.execute("analyze lifecycle.enrolments, campaigns.campaigns")
    with programs.installation.engine.connect() as connection:
        query = sa.select(completions.campaigns.c.id).where(completions._is_over())
        text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = "\n".join(connection.execute(sa.text(f"explain {text}")).scalars())
    assert "Seq Scan on enrolments" not in plan, plan
    assert "ix_enrolments_due" in plan
