"""New members of a segment enter its programs by the trigger's policy, once per entry."""

import datetime as dt
import threading
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from marketing_pipelines.definitions import defs
from marketing_pipelines.domains.campaigns.completions import complete_all
from marketing_pipelines.domains.journeys import segment_entries
from marketing_pipelines.domains.journeys.enrolling import read_sql
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.journeys.passes import evaluate, failures, items, publish
from marketing_pipelines_tests.lifecycle.test_wait_for import interrupted
from marketing_pipelines_tests.programs import STARTED, Programs
from marketing_pipelines_tests.segments.test_evaluation import IN_BERN, Segments
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

BEFORE = STARTED - dt.timedelta(days=1)
DAY = [STARTED + dt.timedelta(days=number) for number in range(12)]
NAMES = "ann bob cid"


def iso(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"


class Feed:
    """A journey that a segment feeds."""

    def __init__(self, programs: Programs, policy: str = "once", **journey: Any) -> None:
        self.programs = programs
        self.segment = programs.segment("bernese")
        self.journey = programs.program("journey", "welcome", **journey)
        self.trigger = programs.trigger(
            "journey", self.journey, "segment", segment_id=self.segment, policy=policy
        )

    def evaluate(self, at: dt.datetime, names: str) -> None:
        evaluate(self.programs, self.segment, at, names)

    def start(self, at: dt.datetime) -> int:
        return start(self.programs, at)

    @property
    def entered(self) -> list[tuple[str, int, str | None]]:
        return self.programs.entered("journey", self.journey)

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.entered]


def start(programs: Programs, at: dt.datetime) -> int:
    begin = programs.installation.engine.begin
    return segment_entries.start_by_segments(begin, at, items(at).attempts)


def test_who_enters_starts_an_execution_that_is_due_at_once(programs: Programs) -> None:
    feed = Feed(programs)
    feed.evaluate(BEFORE, "")
    feed.evaluate(DAY[1], "ann bob")
    assert feed.start(DAY[2]) == 2
    assert programs.installation.rows(
        "select distinct organization_id, status, step_id, entered_at, next_step_at, trigger_id"
        " from lifecycle.enrolments"
    ) == [(programs.organization, "active", None, DAY[2], DAY[2], feed.trigger)]
    assert feed.entered == [("ann", 1, iso(DAY[1])), ("bob", 1, iso(DAY[1]))]


@pytest.mark.parametrize("policy", ["once", "each_entry", "backfill"])
def test_a_second_pass_of_any_tick_starts_nothing(programs: Programs, policy: str) -> None:
    feed = Feed(programs, policy)
    feed.evaluate(BEFORE, "")
    feed.evaluate(DAY[1], "ann bob")
    assert feed.start(DAY[2]) == 2
    assert [feed.start(at) for at in (DAY[2], DAY[1], DAY[3])] == [0, 0, 0]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("once", "bob cid"), ("each_entry", "bob cid"), ("backfill", "ann bob cid")],
)
def test_members_from_before_the_activation_come_in_by_backfill_only(
    programs: Programs, policy: str, expected: str
) -> None:
    feed = Feed(programs, policy)
    feed.evaluate(BEFORE - dt.timedelta(days=1), "")
    feed.evaluate(BEFORE, "ann")
    feed.evaluate(STARTED, "ann bob")
    feed.evaluate(DAY[1], "ann bob cid")
    feed.start(DAY[2])
    assert feed.names == expected.split()
    feed.start(DAY[3])
    assert feed.names == expected.split()


@pytest.mark.parametrize(("policy", "expected"), [("once", "bob"), ("backfill", "ann bob")])
def test_those_whom_the_first_evaluation_of_a_segment_finds_were_there_before(
    programs: Programs, policy: str, expected: str
) -> None:
    feed = Feed(programs, policy)
    feed.evaluate(DAY[1], "ann")
    feed.start(DAY[1])
    feed.start(DAY[2])
    feed.evaluate(DAY[2], "ann bob")
    feed.start(DAY[3])
    assert feed.names == expected.split()


def test_a_program_whose_file_names_no_start_begins_when_it_is_activated(
    programs: Programs,
) -> None:
    feed = Feed(programs, status="draft", started_at=None)
    feed.evaluate(DAY[0], "")
    feed.evaluate(DAY[1], "ann")
    programs.set_status("journey", feed.journey, "active")
    [(now,)] = programs.installation.rows("select started_at from journey.journeys")
    feed.evaluate(now + dt.timedelta(minutes=1), "ann bob")
    feed.start(now + dt.timedelta(minutes=2))
    assert feed.names == ["bob"]
    feed.evaluate(now + dt.timedelta(minutes=3), "ann bob cid")
    feed.start(now + dt.timedelta(minutes=4))
    assert feed.names == ["bob", "cid"]


@pytest.mark.fault(26)
@pytest.mark.parametrize(("policy", "rotations"), [("once", 1), ("backfill", 1), ("each_entry", 2)])
def test_fault_26_who_leaves_and_returns_starts_again_with_each_entry_only(
    programs: Programs, policy: str, rotations: int
) -> None:
    feed = Feed(programs, policy)
    feed.evaluate(BEFORE, "")
    for number, members in enumerate(["ann", "", "ann"]):
        feed.evaluate(DAY[number], members)
        feed.start(DAY[number])
    entries = [("ann", 1, iso(DAY[0])), ("ann", 2, iso(DAY[2]))]
    assert feed.entered == entries[:rotations]
    statuses = programs.installation.rows("select distinct status from lifecycle.enrolments")
    assert statuses == [("active",)], "the first is still under way"


@pytest.mark.parametrize("policy", ["once", "backfill"])
def test_who_has_left_again_does_not_start(programs: Programs, policy: str) -> None:
    feed = Feed(programs, policy)
    feed.evaluate(BEFORE, "")
    feed.evaluate(DAY[1], "ann bob")
    feed.evaluate(DAY[2], "bob")
    feed.start(DAY[3])
    assert feed.names == ["bob"]


def test_unless_active_lets_in_again_when_no_execution_is_under_way(programs: Programs) -> None:
    feed = Feed(programs, "unless_active")
    feed.evaluate(BEFORE, "")
    feed.evaluate(DAY[1], "ann")
    assert feed.start(DAY[1]) == 1
    feed.evaluate(DAY[2], "")
    feed.evaluate(DAY[3], "ann")
    assert feed.start(DAY[3]) == 0
    programs.installation.execute(
        "update lifecycle.enrolments set status = 'exited', exited_at = :at", at=DAY[4]
    )
    assert feed.start(DAY[4]) == 0
    feed.evaluate(DAY[4], "")
    feed.evaluate(DAY[5], "ann")
    assert feed.start(DAY[5]) == 1
    assert feed.entered == [("ann", 1, iso(DAY[1])), ("ann", 2, iso(DAY[5]))]


def test_a_segment_trigger_with_what_it_does_not_use_says_so(programs: Programs) -> None:
    feed = Feed(programs)
    feed.evaluate(BEFORE, "")
    feed.evaluate(DAY[1], "ann")
    programs.installation.execute("""update lifecycle.triggers set config = '{"a": 1}'""")
    assert feed.start(DAY[2]) == 0
    assert [error for _, _, error in failures(programs)] == [
        "config: is not used by a trigger of type segment: leave it empty."
    ]
    programs.installation.execute("update lifecycle.triggers set config = '{}'")
    assert feed.start(DAY[3]) == 1


def test_each_entry_starts_an_execution_also_if_the_contact_left_before_anybody_looked(
    programs: Programs,
) -> None:
    feed = Feed(programs, "each_entry")
    feed.evaluate(BEFORE, "")
    for day, members in ((1, "ann bob"), (2, "bob"), (3, "ann"), (4, "")):
        feed.evaluate(DAY[day], members)
    assert feed.start(DAY[5]) == 3
    entries = [("ann", 1, iso(DAY[1])), ("ann", 2, iso(DAY[3])), ("bob", 1, iso(DAY[1]))]
    assert feed.entered == entries
    assert feed.start(DAY[6]) == 0


def test_who_enters_at_the_very_instant_of_the_last_evaluation_starts(programs: Programs) -> None:
    """A tick that is evaluated again may find more members under the same instant."""
    feed = Feed(programs, "each_entry")
    feed.evaluate(BEFORE, "")
    feed.evaluate(DAY[1], "ann")
    feed.start(DAY[1])
    feed.evaluate(DAY[1], "ann bob")
    feed.start(DAY[1])
    assert feed.entered == [("ann", 1, iso(DAY[1])), ("bob", 1, iso(DAY[1]))]


def test_a_contact_that_was_in_the_program_before_does_not_enter_once_more(
    programs: Programs,
) -> None:
    feed = Feed(programs)
    feed.evaluate(BEFORE, "")
    programs.finish(programs.enrol("journey", feed.journey, "ann"), "completed", DAY[0])
    feed.evaluate(DAY[1], "ann bob")
    feed.start(DAY[2])
    assert feed.entered == [("ann", 1, None), ("bob", 1, iso(DAY[1]))]


def test_two_segments_that_feed_one_journey_start_a_contact_once_or_for_each(
    programs: Programs,
) -> None:
    for policy, rotations in (("once", [1]), ("each_entry", [1, 2])):
        journey = programs.program("journey", policy)
        for name in ("one", "two"):
            segment = programs.segment(f"{policy} {name}")
            evaluate(programs, segment, BEFORE, "")
            evaluate(programs, segment, DAY[1], "ann")
            programs.trigger(
                "journey", journey, "segment", external_id=name, segment_id=segment, policy=policy
            )
        start(programs, DAY[2])
        found = [rotation for _, rotation, _ in programs.entered("journey", journey)]
        assert found == rotations


def test_a_paused_program_takes_in_what_entered_meanwhile_once_it_is_resumed(
    programs: Programs,
) -> None:
    feed = Feed(programs)
    feed.evaluate(BEFORE, "")
    feed.start(DAY[0])
    programs.set_status("journey", feed.journey, "paused")
    feed.evaluate(DAY[1], "ann")
    assert feed.start(DAY[2]) == 0
    programs.set_status("journey", feed.journey, "active")
    feed.evaluate(DAY[3], "ann bob")
    assert feed.start(DAY[3]) == 2


@pytest.mark.parametrize("kind", ["campaign", "sequence"])
def test_campaigns_and_sequences_are_fed_alike(programs: Programs, kind: str) -> None:
    segment = programs.segment("bernese")
    program = programs.program(kind, "spring")
    programs.trigger(kind, program, "segment", segment_id=segment)
    evaluate(programs, segment, BEFORE, "")
    evaluate(programs, segment, DAY[1], "ann")
    start(programs, DAY[2])
    assert programs.entered(kind, program) == [("ann", 1, iso(DAY[1]))]


def test_what_is_not_live_starts_nothing(programs: Programs) -> None:
    feed = Feed(programs)
    feed.evaluate(BEFORE, "")
    feed.evaluate(DAY[1], "ann")
    change = programs.installation.execute
    change("update lifecycle.triggers set enabled = false")
    assert feed.start(DAY[2]) == 0
    change("update lifecycle.triggers set enabled = true")
    for status in ("draft", "paused", "cancelled"):
        programs.set_status("journey", feed.journey, status)
        assert feed.start(DAY[2]) == 0


def test_a_trigger_that_fails_is_recorded_and_does_not_stop_the_others(
    programs: Programs,
) -> None:
    feed = Feed(programs)
    feed.evaluate(BEFORE, "")
    feed.evaluate(DAY[1], "ann")
    journey = programs.program("journey", "a failing one")
    deleted = programs.segment("deleted")
    programs.trigger("journey", journey, "segment", external_id="1", segment_id=deleted)
    new = programs.segment("new")
    programs.trigger("journey", journey, "segment", external_id="2", segment_id=new)
    programs.installation.execute("delete from segments.segments where id = :id", id=deleted)
    assert feed.start(DAY[2]) == 1
    assert failures(programs) == [
        (
            "trigger 1 of journey a failing one of acme",
            1,
            "Its segment was deleted: load the trigger with another one.",
        ),
        (
            "trigger 2 of journey a failing one of acme",
            1,
            "Segment 'new' was never evaluated: look at its rule, or wait for "
            "segments/memberships.",
        ),
    ]
    evaluate(programs, new, DAY[2], "")
    evaluate(programs, new, DAY[3], "bob")
    assert feed.start(DAY[3]) == 1
    assert [item for item, _, _ in failures(programs)] == [
        "trigger 1 of journey a failing one of acme"
    ]


def test_while_a_rule_is_broken_nothing_is_missed(programs: Programs) -> None:
    feed = Feed(programs)
    feed.evaluate(BEFORE, "")
    feed.evaluate(DAY[1], "ann")
    programs.installation.execute("update segments.evaluations set evaluated_at = null")
    assert feed.start(DAY[2]) == 0
    assert failures(programs) == []
    feed.evaluate(DAY[3], "ann bob")
    assert feed.start(DAY[3]) == 2


def test_a_contact_that_is_no_longer_there_stops_nothing(programs: Programs) -> None:
    feed = Feed(programs)
    feed.evaluate(BEFORE, "")
    feed.evaluate(DAY[1], "ann bob")
    programs.installation.execute("delete from crm.contacts where external_id = 'ann'")
    assert feed.start(DAY[2]) == 1


# Before the trigger knows that its campaign is active, and after.
@pytest.mark.parametrize(
    ("statement", "completed"), [("-- The status of a program", True), ("-- A segment", False)]
)
def test_a_campaign_is_completed_before_its_triggers_let_in_or_after_but_not_between(
    programs: Programs, statement: str, completed: bool
) -> None:
    campaign = programs.program("campaign", "spring")
    programs.step("campaign", campaign, "hello", "exit")
    programs.finish(programs.enrol("campaign", campaign, "ann"), "completed", DAY[0])
    segment = programs.segment("bernese")
    programs.trigger("campaign", campaign, "segment", segment_id=segment)
    evaluate(programs, segment, BEFORE, "")
    evaluate(programs, segment, DAY[1], "bob")
    completions: list[Any] = []

    def complete() -> None:
        with programs.installation.engine.begin() as connection:
            completions.extend(complete_all(connection, DAY[1], items(DAY[1]).attempts))

    with interrupted(programs.installation.engine, statement, complete):
        begun = start(programs, DAY[2])
    assert (len(completions), begun) == ((1, 0) if completed else (0, 1))
    assert programs.installation.rows("select status from campaigns.campaigns") == [
        ("completed" if completed else "active",)
    ]
    # Nothing is lost: what a campaign that goes on again was fed meanwhile comes in then.
    programs.set_status("campaign", campaign, "active")
    start(programs, DAY[3])
    assert [name for name, _, _ in programs.entered("campaign", campaign)] == ["ann", "bob"]


def test_two_evaluators_at_once_start_each_entry_once(programs: Programs) -> None:
    feed = Feed(programs, "each_entry")
    feed.evaluate(BEFORE, "")
    feed.evaluate(DAY[1], "ann bob")
    begin = programs.installation.engine.begin
    with begin() as one:
        held = one.execute(read_sql("lock_trigger"), {"id": feed.trigger}).one_or_none()
        assert segment_entries.evaluate(one, held, DAY[2]) == 2
        assert feed.start(DAY[2]) == 0, "the other does it"
    assert feed.start(DAY[2]) == 0
    assert [rotation for _, rotation, _ in feed.entered] == [1, 1]


def test_members_that_are_published_during_an_evaluation_are_let_in_by_the_next(
    programs: Programs,
) -> None:
    feed = Feed(programs)
    feed.evaluate(BEFORE, "")
    feed.start(DAY[0])
    with programs.installation.engine.begin() as publishing:
        publish(publishing, programs, feed.segment, DAY[1], "ann")
        assert feed.start(DAY[1]) == 0
    assert feed.start(DAY[1]) == 1


def test_evaluators_and_publishers_at_once_lose_nothing_and_repeat_nothing(
    programs: Programs,
) -> None:
    """Three evaluators beside somebody who publishes; contacts come, leave and return."""
    feed = Feed(programs, "each_entry")
    feed.evaluate(BEFORE, "")
    dice = Random(7)
    stop = threading.Event()
    errors: list[BaseException] = []

    def evaluating() -> None:
        try:
            while not stop.is_set():
                feed.start(DAY[5])
        except BaseException as error:
            errors.append(error)

    evaluators = [threading.Thread(target=evaluating) for _ in range(3)]
    for thread in evaluators:
        thread.start()
    for number in range(40):
        members = [name for name in NAMES.split() if dice.random() < 0.6]
        feed.evaluate(DAY[1] + number * dt.timedelta(minutes=1), " ".join(members))
    stop.set()
    for thread in evaluators:
        thread.join()
    feed.start(DAY[5])
    assert errors == []
    entries = programs.installation.rows(
        'select external_id, to_char(entered_at, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'
        " from segments.memberships"
        " join crm.contacts as contact on contact.id = contact_id order by 1, 2"
    )
    assert sorted((name, entry) for name, _, entry in feed.entered) == entries
    for name in NAMES.split():
        rotations = [rotation for each, rotation, _ in feed.entered if each == name]
        assert rotations == list(range(1, len(rotations) + 1))


def test_a_rotation_that_was_just_taken_is_not_lost(programs: Programs) -> None:
    """Somebody enrols the contact by hand at the same moment: the entry is done again later."""
    feed = Feed(programs, "each_entry")
    feed.evaluate(BEFORE, "")
    feed.evaluate(DAY[1], "ann")
    ann = programs.contact("ann")
    with programs.installation.engine.connect() as by_hand:
        by_hand.execute(
            sa.text(
                "insert into lifecycle.enrolments (organization_id, program_kind, program_id,"
                " contact_id, entered_at) values (:organization, 'journey', :journey, :ann, :at)"
            ),
            {
                "organization": programs.organization,
                "journey": feed.journey,
                "ann": ann,
                "at": DAY[1],
            },
        )
        evaluator = threading.Thread(target=feed.start, args=(DAY[2],))
        evaluator.start()
        until(lambda: waits_for_a_lock(programs.installation.engine))
        by_hand.commit()
    evaluator.join()
    assert feed.start(DAY[3]) == 1
    assert feed.entered == [("ann", 1, None), ("ann", 2, iso(DAY[1]))]


def asks(installation: Installation) -> bool:
    """True if the sensor asks for a run."""
    repository = defs.get_repository_def()
    with dg.build_sensor_context(
        instance=installation.instance,
        repository_def=repository,
        resources={"postgres": Postgres()},
    ) as context:
        sensor = repository.get_sensor_def("evaluated_segments_sensor")
        return bool(sensor.evaluate_tick(context).run_requests)


def test_the_job_follows_the_evaluation_of_its_segments(
    installation: Installation, tmp_path: Path
) -> None:
    segments = Segments(installation, tmp_path)
    segments.contacts({"external_id": "ann", "city": "Bern"}, {"external_id": "bob"})
    segments.rule("bernese", IN_BERN)
    segments.evaluate(STARTED)
    [(organization, segment)] = installation.rows(
        "select organization_id, id from segments.segments"
    )
    assert not asks(installation), "nothing is fed"
    programs = Programs(installation, organization)
    journey = programs.program("journey", "welcome")
    programs.trigger("journey", journey, "segment", segment_id=segment)
    assert asks(installation)
    assert asks(installation), "a lost request is asked for again"
    [outcome] = installation.run("journeys/segment_entries", at=DAY[1])
    assert outcome.rows == 0
    assert not asks(installation)
    segments.contacts({"external_id": "bob", "city": "Bern"})
    assert not asks(installation), "the segment comes first"
    segments.evaluate(DAY[1])
    assert asks(installation)
    [outcome] = installation.run("journeys/segment_entries", at=DAY[1])
    assert outcome.rows == 1
    assert programs.entered("journey", journey) == [("bob", 1, iso(DAY[1]))]
    assert not asks(installation)
    programs.set_status("journey", journey, "paused")
    segments.evaluate(DAY[2])
    assert not asks(installation)
