"""Fault 25: a segment is rebuilt while others read it, or its definition is broken."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.runs import sessions
from marketing_pipelines_tests.faults.crowd import (
    HOUR,
    JOB,
    NOW,
    Crowd,
    evaluating,
    events_told,
    finished,
    half_way,
)
from marketing_pipelines_tests.faults.test_kill import locks_held
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

pytestmark = pytest.mark.fault

MANY = 4_000


@pytest.fixture
def crowd(installation: Installation, tmp_path: Path) -> Crowd:
    return Crowd(installation, tmp_path)


def between(low: int, high: int) -> dict[str, Any]:
    return {"attribute": "n", "op": "between", "value": [low, high]}


def deciles(*digits: int) -> dict[str, Any]:
    return {"attribute": "decile", "op": "in", "value": list(digits)}


class Reader(threading.Thread):
    """Reads two segments without a pause, as a campaign does, until it is told to stop.

    Attributes:
        sizes: What `count(*)` said of the first, without repetitions.
        seen: The members of both in one statement, without repetitions.
    """

    def __init__(self, engine: sa.Engine, ids: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self.engine = engine
        self.ids = ids
        self.reads = 0
        self.sizes: list[int] = []
        self.seen: list[dict[int, frozenset[int]]] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        size = sa.text(
            "select count(*) from segments.memberships where segment_id = :id and left_at is null"
        )
        both = sa.text(
            "select segment_id, array_agg(contact_id) from segments.memberships"
            " where segment_id = any(:ids) and left_at is null group by segment_id"
        )
        first, *_ = numbers = list(self.ids.values())
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not self.stopped.is_set():
                count = connection.execute(size, {"id": first}).scalar_one()
                rows = connection.execute(both, {"ids": numbers}).all()
                members = {segment: frozenset(contacts) for segment, contacts in rows}
                if self.sizes[-1:] != [count]:
                    self.sizes.append(count)
                if self.seen[-1:] != [members]:
                    self.seen.append(members)
                self.reads += 1

    def more(self, number: int = 20) -> None:
        """Waits until it has read so many times again."""
        wanted = self.reads + number
        until(lambda: self.reads >= wanted or not self.is_alive(), what="the reader to read")
        assert self.is_alive()


@contextmanager
def reading(engine: sa.Engine, ids: dict[str, int]) -> Iterator[Reader]:
    reader = Reader(engine, ids)
    reader.start()
    try:
        yield reader
    finally:
        reader.stopped.set()
        reader.join(60)


@pytest.mark.fault(25)
def test_whoever_reads_during_a_rebuild_sees_the_old_or_the_new_members(crowd: Crowd) -> None:
    crowd.grow(MANY)
    crowd.rule("chosen", between(1, 2_400))
    crowd.rule("others", {"not": {"segment": "chosen"}})
    crowd.evaluate()
    installation = crowd.installation
    installation.execute(
        'update crm.organizations set settings = \'{"segments": {"largest_removal": 1}}\''
    )
    contacts = dict(installation.rows("select external_id, id from crm.contacts"))
    ids = dict(installation.rows("select external_id, id from segments.segments order by id"))

    def members(low: int, high: int) -> dict[int, frozenset[int]]:
        chosen = frozenset(contacts[f"c{n}"] for n in range(low, high + 1))
        return {
            ids["chosen"]: chosen,
            ids["others"]: frozenset(contacts.values()) - chosen,
        }

    with reading(installation.engine, ids) as reader:
        reader.more()
        crowd.rule("chosen", between(1_001, MANY))
        with (
            half_way(installation, "chosen", f"c{MANY}") as blocker,
            evaluating(NOW + HOUR) as process,
        ):
            until(
                lambda: waits_for_a_lock(installation.engine),
                seconds=120,
                what="all but one row to be written",
            )
            reader.more()
            blocker.rollback()
            assert "COMPLETED" in finished(process)
        reader.more()
    assert reader.sizes == [2_400, 3_000]
    assert reader.seen == [members(1, 2_400), members(1_001, MANY)]


@pytest.mark.fault(25)
def test_a_broken_rule_leaves_its_members_alerts_once_and_stops_no_other(crowd: Crowd) -> None:
    for name in ("healthy", "misspelt", "unreadable"):
        crowd.rule(name, {"attribute": "city", "op": "=", "value": "Bern"})
    crowd.rule("of the misspelt", {"segment": "misspelt"})
    crowd.contacts(
        {"external_id": "ann", "city": "Bern"},
        {"external_id": "bob", "city": "Bern"},
        {"external_id": "cid", "city": "Rome"},
    )
    crowd.evaluate()
    names = ["healthy", "misspelt", "unreadable", "of the misspelt"]
    assert [crowd.members(name) for name in names] == [["ann", "bob"]] * 4
    crowd.rule("misspelt", {"attribute": "cty", "op": "!=", "value": "Bern"})
    crowd.installation.execute(
        "update segments.segments set rule = '{\"all\": 7}' where external_id = 'unreadable'"
    )
    for hour in range(1, 5):
        moved = {"external_id": "cid", "city": "Bern" if hour % 2 else "Rome"}
        crowd.contacts(moved)
        assert crowd.evaluate(NOW + hour * HOUR).status == "COMPLETED"
        assert crowd.session() == ("COMPLETED", 2, 2)
        expected = ["ann", "bob", "cid"] if hour % 2 else ["ann", "bob"]
        assert crowd.members("healthy") == expected
        for name in names[1:]:
            assert crowd.members(name) == ["ann", "bob"]
    misspelt, unreadable = "segment misspelt of acme", "segment unreadable of acme"
    assert crowd.alerts() == [(misspelt, "third"), (unreadable, "third")]
    assert (
        crowd.error_of("misspelt") == "attribute: no contact has or has had 'cty'; similar: city."
    )
    assert str(crowd.error_of("unreadable")).startswith("all: ")
    [[passed, severity]] = last_check(crowd.installation)
    assert (passed, severity) == (False, "WARN")

    crowd.manual("of the misspelt", "cid", "add")
    crowd.evaluate(NOW + 6 * HOUR)
    assert crowd.members("of the misspelt") == ["ann", "bob", "cid"]

    for name in ("misspelt", "unreadable"):
        crowd.rule(name, {"attribute": "city", "op": "=", "value": "Rome"})
    crowd.contacts({"external_id": "cid", "city": "Rome"})
    crowd.evaluate(NOW + 7 * HOUR)
    assert crowd.members("misspelt") == crowd.members("unreadable") == ["cid"]
    assert crowd.alerts()[2:] == [(misspelt, "recovery"), (unreadable, "recovery")]
    assert crowd.session() == ("COMPLETED", 4, None)
    assert last_check(crowd.installation) == [[True, "WARN"]]


def last_check(installation: Installation) -> list[list[Any]]:
    """The check of the latest run: passed or not, and its severity."""
    runs = installation.instance.get_run_records(limit=1)
    found = installation.instance.all_logs(runs[0].dagster_run.run_id)
    checks = [e.asset_check_evaluation_data for e in map(dagster_event, found) if e is not None]
    return [[check.passed, check.severity.value] for check in checks]


def dagster_event(entry: Any) -> Any:
    event = entry.dagster_event
    kind = getattr(event, "event_type_value", None)
    return event if kind == "ASSET_CHECK_EVALUATION" else None


@pytest.mark.fault(25)
def test_a_cycle_is_named_and_what_refers_to_it_goes_on_with_its_old_members(
    crowd: Crowd,
) -> None:
    crowd.contacts(
        {"external_id": "ann", "city": "Bern"},
        {"external_id": "bob", "city": "Rome"},
    )
    in_bern = {"attribute": "city", "op": "=", "value": "Bern"}
    crowd.rule("a", in_bern)
    crowd.rule("b", {"segment": "a"})
    crowd.rule("c", {"all": [{"segment": "b"}]})
    crowd.rule("self", in_bern)
    crowd.rule("of a", {"not": {"segment": "a"}})
    crowd.rule("healthy", in_bern)
    crowd.evaluate()
    crowd.rule("a", {"any": [in_bern, {"not": {"segment": "c"}}]})
    crowd.rule("self", {"not": {"segment": "self"}})
    for hour in range(1, 4):
        crowd.contacts({"external_id": f"new{hour}", "city": "Bern"})
        assert crowd.evaluate(NOW + hour * HOUR).status == "COMPLETED"
        assert crowd.session() == ("COMPLETED", 2, 4)
    round_trips = ["a → c → b → a", "b → a → c → b", "c → b → a → c"]
    errors = {crowd.error_of(name) for name in "abc"}
    assert len(errors) == 1
    assert errors <= {f"The rule refers to itself: {names}." for names in round_trips}
    assert crowd.error_of("self") == "The rule refers to itself: self → self."
    newcomers = [f"new{hour}" for hour in range(1, 4)]
    assert [crowd.members(name) for name in ("a", "b", "c", "self")] == [["ann"]] * 4
    assert crowd.members("of a") == ["bob", *newcomers]
    assert crowd.members("healthy") == ["ann", *newcomers]
    assert sorted(crowd.alerts()) == [
        (f"segment {name} of acme", "third") for name in ("a", "b", "c", "self")
    ]

    crowd.rule("a", in_bern)
    crowd.rule("self", in_bern)
    crowd.evaluate(NOW + 5 * HOUR)
    assert [crowd.members(name) for name in ("a", "b", "c", "self")] == [["ann", *newcomers]] * 4
    assert crowd.members("of a") == ["bob"]
    assert sorted(crowd.alerts())[::2] == [
        (f"segment {name} of acme", "recovery") for name in ("a", "b", "c", "self")
    ]


def test_an_hour_in_which_only_a_broken_rule_is_tried_is_no_failure_of_the_job(
    crowd: Crowd,
) -> None:
    """The healthy segments have nothing to do then, which is not the same as failing."""
    crowd.contacts({"external_id": "ann", "city": "Bern"})
    crowd.rule("healthy", {"attribute": "city", "op": "=", "value": "Bern"})
    crowd.rule("broken", {"attribute": "cty", "op": "=", "value": "Bern"})
    for hour in range(5):
        assert crowd.evaluate(NOW + hour * HOUR).status == "COMPLETED"
        assert crowd.session() == ("COMPLETED", 1, 1)
    assert crowd.alerts() == [("segment broken of acme", "third")]


def test_a_segment_that_was_not_used_for_a_while_is_right_when_it_is_used_again(
    crowd: Crowd,
) -> None:
    crowd.contacts({"external_id": "ann", "city": "Bern"}, {"external_id": "bob", "city": "Rome"})
    in_bern = {"attribute": "city", "op": "=", "value": "Bern"}
    crowd.rule("bernese", in_bern, evaluated="on_use")
    crowd.rule("user", {"segment": "bernese"})
    crowd.evaluate()
    crowd.rule("user", {"any": []})
    crowd.evaluate(NOW + HOUR)
    crowd.contacts({"external_id": "ann", "city": "Rome"}, {"external_id": "bob", "city": "Bern"})
    crowd.evaluate(NOW + 2 * HOUR)
    crowd.rule("user", {"segment": "bernese"})
    crowd.evaluate(NOW + 3 * HOUR)
    assert crowd.members("bernese") == ["bob"]
    assert crowd.members("user") == ["bob"]


Moment = Callable[[Installation], AbstractContextManager[sa.Connection]]


@contextmanager
def before_anything_is_written(installation: Installation) -> Iterator[sa.Connection]:
    with installation.engine.connect() as blocker:
        blocker.execute(sa.text("lock segments.memberships in share mode"))
        yield blocker


def in_the_last_segment(installation: Installation) -> AbstractContextManager[sa.Connection]:
    return half_way(installation, "both", "c1008")


def after_the_first_organization(
    installation: Installation,
) -> AbstractContextManager[sa.Connection]:
    return half_way(installation, "of zeta", "c1008")


@pytest.mark.parametrize(
    "moment",
    [
        after_the_first_organization,
        pytest.param(before_anything_is_written, marks=[pytest.mark.soak, soak_only]),
        pytest.param(in_the_last_segment, marks=[pytest.mark.soak, soak_only]),
    ],
)
def test_two_evaluators_at_once_of_which_one_is_killed_leave_one_truth(
    installation: Installation, tmp_path: Path, moment: Moment
) -> None:
    acme, zeta = (Crowd(installation, tmp_path, name) for name in ("acme", "zeta"))
    for crowd in (acme, zeta):
        crowd.grow(1_010)
        crowd.happens("opened", NOW - HOUR, divisor=3)
    acme.rule("some", deciles(0, 1, 2, 3, 4, 5))
    acme.rule("opened", {"event": "opened"})
    acme.rule("both", {"all": [{"segment": "some"}, {"segment": "opened"}]})
    zeta.rule("of zeta", deciles(0, 1, 2, 3, 4, 5))
    acme.evaluate()
    assert events_told(installation) == []
    segments = [(acme, "some"), (acme, "opened"), (acme, "both"), (zeta, "of zeta")]
    before = [crowd.numbers(name) for crowd, name in segments]

    later = NOW + HOUR
    acme.rule("some", deciles(2, 3, 4, 5, 6, 7, 8))
    zeta.rule("of zeta", deciles(2, 3, 4, 5, 6, 7, 8))
    acme.happens("opened", NOW, divisor=5)
    touched = acme.touched()
    with moment(installation) as blocker, evaluating(later) as first:
        until(
            lambda: waits_for_a_lock(installation.engine),
            seconds=120,
            what="the first evaluation to get there",
        )
        [(number, run)] = installation.rows(
            "select id, run_id from ops.job_sessions where status = 'RUNNING'"
        )
        second = acme.evaluate(later)
        assert second.status == "SKIPPED_OVERLAP"
        assert second.error == f"Run {run} holds the lock of {JOB} and does the work."
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate(timeout=60)
        until(lambda: locks_held(installation) == 0, what="the server to free the locks")
        blocker.rollback()
    if moment is not after_the_first_organization:
        assert [crowd.numbers(name) for crowd, name in segments] == before
        assert acme.touched() == touched
        assert events_told(installation) == []
    with installation.engine.begin() as connection:
        assert sessions.close_abandoned(connection) == [number]

    assert acme.evaluate(later).status == "COMPLETED"
    everybody = range(1, 1_011)
    some = {n for n in everybody if n % 10 in (2, 3, 4, 5, 6, 7, 8)}
    opened = {n for n in everybody if n % 3 == 0 or n % 5 == 0}
    after = [some, opened, some & opened, some]
    assert [crowd.numbers(name) for crowd, name in segments] == after
    assert acme.touched() == []
    ids = {
        (organization, int(name.removeprefix("c"))): contact
        for organization, name, contact in installation.rows(
            "select organization.external_id, contact.external_id, contact.id from crm.contacts"
            " as contact join crm.organizations as organization"
            " on organization.id = organization_id"
        )
    }
    numbers = dict(installation.rows("select external_id, id from segments.segments"))
    told = [
        (numbers[name], kind, ids[crowd.organization, n], later.isoformat().replace("+00:00", "Z"))
        for (crowd, name), old, new in zip(segments, before, after, strict=True)
        for kind, contacts in (("segment.entered", new - old), ("segment.left", old - new))
        for n in contacts
    ]
    assert sorted(events_told(installation)) == sorted(told)
    assert installation.rows("select count(*) from segments.memberships where left_at is null") == [
        (sum(len(members) for members in after),)
    ]
    assert installation.rows(
        "select distinct entered_at, left_at from segments.memberships order by 1, 2"
    ) == [(NOW, later), (NOW, None), (later, None)]
