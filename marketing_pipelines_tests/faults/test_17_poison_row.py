"""Fault 17: a contact for whom a step cannot be done is taken out; everybody else moves."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.lifecycle.world import ProgramWorld, Steps, at
from marketing_pipelines_tests.scale import soak_only

pytestmark = pytest.mark.fault

TICK = at("03-02 10:05")
STEPS: Steps = [
    ("hello", "send_email", {"subject": "Hello", "text": "Hello"}),
    ("set", "update_contact", {"set": {"lifecycle_stage": "mql"}}),
    ("more", "send_sms", {"text": "More"}),
]
REFUSE = """
create function refuse() returns trigger language plpgsql as $$
begin
    if old.first_name = 'poison' then
        raise exception 'contact % is not to be touched', new.external_id;
    end if;
    return new;
end $$;
create trigger refuse before update on crm.contacts for each row execute function refuse();
"""


@pytest.fixture
def world(engine: sa.Engine) -> Iterator[ProgramWorld]:
    world = ProgramWorld(engine)
    world.execute(REFUSE)
    yield world
    engine.dispose()


def poison(world: ProgramWorld, contacts: list[int]) -> None:
    world.execute(
        "update crm.contacts set first_name = 'poison' where id = any(:ids)", ids=contacts
    )


@pytest.mark.fault(17)
@pytest.mark.parametrize("batch", [1, pytest.param(7, marks=[pytest.mark.soak, soak_only]), 20_000])
def test_those_whom_a_trigger_refuses_fail_and_all_others_move(
    world: ProgramWorld, batch: int
) -> None:
    program, other = world.program(STEPS), world.program(STEPS, name="other")
    contacts = world.contacts(20)
    bad = [contacts[0], contacts[11], contacts[12], contacts[19]]
    world.enrol(program, contacts, at("03-02 10:00"))
    world.enrol(other, contacts[10:], at("03-02 10:00"))
    poison(world, bad)
    report = world.move(TICK, batch=batch)
    assert report.quarantined == 7
    assert world.standing(program) == {"completed": 16, "failed": 4}
    assert world.standing(other) == {"completed": 7, "failed": 3}
    # Failed contacts have done the steps before the one that they cannot do, and none after it.
    assert world.messages() == {"hello": 20 + 10, "more": 16 + 7}
    assert world.results(program) == {
        ("hello", "done"): 20,
        ("set", "done"): 16,
        ("set", "failed"): 4,
        ("more", "done"): 16,
    }
    assert world.rows(
        "select distinct status, reason, failed_at, next_step_at from lifecycle.enrolments"
        " where status = 'failed' and contact_id = :bad",
        bad=bad[0],
    ) == [("failed", f"contact c{bad[0]} is not to be touched", TICK, None)]
    assert world.rows(
        "select program_kind, sum(entered), sum(active), sum(completed), sum(exited), sum(failed)"
        " from lifecycle.program_counts group by 1"
    ) == [("campaign", 30, 0, 23, 0, 7)]
    # Nobody is tried again, and nothing is done twice.
    assert world.move(at("03-02 10:10")).taken == 0


def test_where_many_fail_it_is_the_program_that_stops_and_loses_no_more(
    world: ProgramWorld,
) -> None:
    program, other = world.program(STEPS), world.program(STEPS[:1], name="other")
    contacts = world.contacts(50)
    world.enrol(program, contacts, at("03-02 10:00"))
    world.enrol(other, contacts, at("03-02 10:00"))
    poison(world, contacts)
    report = world.move(TICK)
    assert "is not to be touched" in report.blocked["campaign welcome of acme"]
    assert world.standing(other) == {"completed": 50}
    for tick in ("10:10", "10:15", "10:20"):
        assert (
            "is not to be touched"
            in world.move(at(f"03-02 {tick}")).blocked["campaign welcome of acme"]
        )
    assert world.standing(program) == {"entrance": 26, "set": 4, "failed": 20}
    world.execute("drop trigger refuse on crm.contacts")
    assert world.move(at("03-02 10:25")).blocked == {}
    assert world.standing(program) == {"completed": 30, "failed": 20}
