"""Rows of a sheet from before an erasure bring nobody back; a new submission begins anew."""

import datetime as dt

from marketing_pipelines_tests.forms.google import MORNING, FormWorld, row, serial
from marketing_pipelines_tests.integrations.world import NIGHT
from marketing_pipelines_tests.upkeep.erased import erase

CONTACTS = "select email from crm.contacts where email is not null order by id"


def erase_first(world: FormWorld) -> None:
    [(name,)] = world.rows("select external_id from crm.contacts order by id limit 1")
    site = world.installation
    erase(site.engine, site.settings, "acme", name, NIGHT)


def test_an_erased_submission_stays_empty_whatever_its_row_says(world: FormWorld) -> None:
    world.sheet.extend([row(1), row(2)])
    world.read()
    erase_first(world)
    world.sheet[1] = row(1, "Edited")
    stored = world.read(1)
    # Its identity is made of all values, so the edited row is another submission, and refused.
    assert (stored.new, stored.edited, stored.erased) == (1, 0, 1)
    assert world.submissions("data", "contact_id is null or position = 2") == [{}, {}]
    assert world.rows(CONTACTS) == [("p2@x.example",)]


def test_a_row_from_before_the_erasure_is_refused_and_a_later_one_begins_anew(
    world: FormWorld,
) -> None:
    world.sheet.append(row(1))
    world.read()
    erase_first(world)
    world.sheet.append([serial(MORNING), "P1@x.example", "Old row", "Rome"])
    assert world.read(1).erased == 1
    assert world.submissions("data, reason, contact_id")[1] == ({}, "erased", None)
    assert world.read(2).erased == 0
    assert world.rows(CONTACTS) == []
    later = (NIGHT + dt.timedelta(days=1)).replace(tzinfo=None)
    world.sheet.append([serial(later), "p1@x.example", "Anew", "Rome"])
    assert world.read(3).new == 1
    assert world.rows(CONTACTS) == [("p1@x.example",)]
    assert world.rows("select from delivery.suppressions where reason = 'erased'") == []
