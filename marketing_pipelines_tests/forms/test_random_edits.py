"""Random edits between readings: no submission is lost or doubled, and each is published once."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketing_pipelines_tests.forms.google import FormWorld
from marketing_pipelines_tests.scale import SOAK

COLUMNS = ["E-mail", "Name", "Answer"]
ADDRESSES = ["a@x.example", "B@x.example", "b@x.example", "c@x.example", "c at x", ""]
CELLS = st.tuples(st.sampled_from(ADDRESSES), st.sampled_from(["Ada", "Bob", ""]),
                  st.sampled_from(["", 1, "1.0", True]))  # fmt: skip
PLACES = st.integers(0, 9)
CHANGES = st.one_of(
    st.tuples(st.just("add"), CELLS),
    st.tuples(st.just("edit"), PLACES, st.integers(0, 2), CELLS),
    st.tuples(st.just("delete"), PLACES),
    st.tuples(st.just("copy"), PLACES),
    st.tuples(st.just("move"), PLACES, PLACES),
    st.tuples(st.just("sort")),
)
READINGS = st.lists(st.lists(CHANGES, max_size=5), min_size=2, max_size=4)


def change(rows: list[list[Any]], kind: str, *given: Any) -> None:
    """Changes a sheet as a user does."""
    if kind == "add":
        rows.append(list(given[0]))
    elif kind == "sort":
        rows.sort(key=str)
    elif rows:
        at = given[0] % len(rows)
        if kind == "edit":
            rows[at][given[1]] = given[2][given[1]]
        elif kind == "copy":
            rows.append(list(rows[at]))
        else:
            row = rows.pop(at)
            if kind == "move":
                rows.insert(given[1], row)


def identities(rows: list[list[Any]], keys: list[str]) -> Counter[tuple[Any, ...]]:
    """The submissions in a sheet, each with its number of rows."""
    chosen = [COLUMNS.index(name) for name in keys] or [0, 1]
    found: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        values = tuple(row[at] for at in chosen)
        if any(values):
            found[values] += 1
        elif any(row[:2]):
            found["", *row[:2]] += 1
    return found


@pytest.mark.soak
@settings(
    max_examples=300 if SOAK else 8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(readings=READINGS, keys=st.sampled_from([[], ["E-mail"]]))
def test_no_submission_is_lost_or_doubled(
    world: FormWorld, readings: list[list[Any]], keys: list[str]
) -> None:
    for table in ("forms.readings", "forms.submissions", "crm.contacts", "ops.bus_events"):
        world.execute(f"delete from {table}")
    world.execute(
        "update forms.forms set mapping = cast(:mapping as jsonb), key_columns = :keys",
        mapping='{"E-mail": "email", "Name": "first_name"}',
        keys=keys,
    )
    rows: list[list[Any]] = []
    seen = published = 0
    for tick, changes in enumerate(readings):
        for one in changes:
            change(rows, *one)
        world.google.sheets["sheet-1", "answers"] = [COLUMNS, *map(list, rows)]
        stored = world.read(tick)
        expected = identities(rows, keys)
        present = world.submissions("identity, copies, position", "missing_since is null")
        assert sorted(copies for _, copies, _ in present) == sorted(expected.values())
        assert len({identity for identity, _, _ in present}) == len(expected)
        assert len({position for _, _, position in present}) == len(expected)
        everything = world.submissions("id")
        # Submissions never go; the new ones are added.
        assert len(everything) == seen + stored.new
        seen, published = len(everything), published + stored.published
        events = world.rows("select payload ->> 'submission' from ops.bus_events"
                            " where type = 'form.submitted'")  # fmt: skip
        assert len(events) == len(set(events)) == published
        addresses = world.rows("select delivery.address_of('email', email) from crm.contacts")
        assert len(addresses) == len(set(addresses))
        before = world.everything()
        again = world.read(tick)
        assert (again.new, again.edited, again.missing, again.published) == (0, 0, 0, 0)
        assert world.everything() == before
    assert world.submissions("id", "contact_id is null and reason is null") == []
