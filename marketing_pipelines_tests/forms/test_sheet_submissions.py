"""Rows of sheets as submissions: first and later readings, edits, re-orders, copies, changes."""

import datetime as dt

import pytest

from marketing_pipelines_tests.forms.google import HEADER, MAPPING, FormWorld, big, row, serial
from marketing_pipelines_tests.integrations.world import NIGHT
from marketing_pipelines_tests.scale import SOAK

ROWS = 10_000 if SOAK else 1_000


def test_a_new_row_becomes_a_submission_a_contact_and_an_event(world: FormWorld) -> None:
    world.read()
    world.sheet.append([serial(dt.datetime(2026, 3, 1, 2, 55)), " Ada@X.example ", "Ada", "Rome"])
    done = world.job(1)
    assert (done["ok"], done["failed"], done["rows"]) == (1, 0, 1)
    assert world.rows(
        "select external_id, email, first_name, attributes, source, created_at from crm.contacts"
    ) == [
        (
            "form:contact-us:" + world.submissions("identity")[0],
            *("Ada@X.example", "Ada", {"city": "Rome"}, "form", NIGHT + dt.timedelta(minutes=10)),
        )
    ]
    # 02:55 in Berlin.
    submitted_at = dt.datetime(2026, 3, 1, 1, 55, tzinfo=dt.UTC)
    assert world.submissions(
        "position, copies, data, submitted_at, first_seen_at, missing_since, reason"
    ) == [
        (2, 1, {"Timestamp": serial(dt.datetime(2026, 3, 1, 2, 55)), "E-mail": "Ada@X.example",
                "Name": "Ada", "City": "Rome"},
         submitted_at, NIGHT + dt.timedelta(minutes=10), None, None)
    ]  # fmt: skip
    [(kind, payload), (created, _)] = world.rows(
        "select type, payload from ops.bus_events order by type desc"
    )
    assert (kind, payload["form"], payload["submission"]) == ("form.submitted", "contact-us", "1")
    assert dt.datetime.fromisoformat(payload["at"]) == submitted_at
    assert created == "contact.created"


@pytest.mark.soak
def test_the_first_reading_of_thousands_of_rows_publishes_no_submission(world: FormWorld) -> None:
    world.google.sheets["sheet-1", "answers"] = big(ROWS)
    done = world.job()
    assert (done["ok"], done["submissions_new"], done["submissions_published"]) == (1, ROWS, 0)
    assert world.events() == []
    assert world.rows("select payload ->> 'source', jsonb_array_length(payload -> 'contacts')"
                      " from ops.bus_events") == [("import", ROWS)]  # fmt: skip
    assert world.rows("select source, count(*) from crm.contacts group by 1") == [("import", ROWS)]
    before = world.everything()
    assert world.job()["rows"] == 0
    assert world.everything() == before


def test_a_backfilled_form_publishes_its_first_reading(world: FormWorld) -> None:
    world.form(backfill=True)
    world.sheet.extend([row(1), row(2)])
    world.read()
    assert len(world.events()) == 2
    assert world.rows("select distinct source from crm.contacts") == [("form",)]


@pytest.mark.fault(39)
def test_rows_that_move_or_are_deleted_stay_the_same_submissions(world: FormWorld) -> None:
    world.sheet.extend(row(number) for number in range(6))
    world.read()
    world.sheet[1:] = [row(number) for number in (5, 3, 1, 0, 2)]
    world.read(1)
    assert world.submissions("data ->> 'Name', position, missing_since is null") == [
        ("P0", 5, True), ("P1", 4, True), ("P2", 6, True), ("P3", 3, True), ("P4", 6, False),
        ("P5", 2, True),
    ]  # fmt: skip
    world.sheet.append(row(4))
    world.read(2)
    assert world.submissions("position, missing_since", "data ->> 'Name' = 'P4'") == [(7, None)]
    assert world.events() == []


def test_an_edited_row_is_the_same_submission_and_publishes_nothing(world: FormWorld) -> None:
    world.sheet.extend([row(1), row(2)])
    world.read()
    # Another name; and another spelling of the address with another city.
    world.sheet[1] = row(1, "Adam")
    world.sheet[2] = [row(2)[0], "P2@X.EXAMPLE", "P2", "Porto"]
    done = world.read(1)
    assert (done.new, done.edited) == (0, 2)
    assert world.submissions("data ->> 'Name', data ->> 'City'") == [
        ("Adam", "Lisbon"), ("P2", "Porto")
    ]  # fmt: skip
    # A correction reaches the contact that had the value from this row.
    assert world.rows("select email, first_name, attributes ->> 'city' from crm.contacts"
                      " order by id") == [
        ("p1@x.example", "Adam", "Lisbon"), ("P2@X.EXAMPLE", "P2", "Porto")
    ]  # fmt: skip
    assert world.events() == []
    before = world.everything()
    world.read(1)
    assert world.everything() == before


def test_another_address_in_the_place_of_a_row_is_a_new_submission(world: FormWorld) -> None:
    world.sheet.append(row(1))
    world.read()
    world.sheet[1] = [row(1)[0], "other@x.example", "P1", "Lisbon"]
    done = world.read(1)
    assert (done.new, done.missing) == (1, 1)
    assert len(world.events()) == 1


def test_without_an_address_half_of_the_values_make_an_edit(world: FormWorld) -> None:
    at = row(1)[0]
    world.sheet.extend([[at, "", "Ada", "Rome"], [at, "bob at x", "Bob", "Rome"]])
    world.read()
    assert world.submissions("reason, contact_id is null") == [
        ("the address is missing", True), ("the address is not valid", True)
    ]  # fmt: skip
    world.sheet[1] = [at, "", "Eve", "Oslo"]
    world.sheet[2] = [at, "bob@x.example", "Bob", "Rome"]
    done = world.read(1)
    # One of three values is too few; two of four are enough.
    assert (done.new, done.edited) == (1, 1)
    assert world.submissions("data ->> 'Name', reason, missing_since is null") == [
        ("Ada", "the address is missing", False), ("Bob", None, True),
        ("Eve", "the address is missing", True),
    ]  # fmt: skip
    assert world.rows("select email from crm.contacts") == [("bob@x.example",)]
    assert world.events() == []


def test_copies_are_one_submission(world: FormWorld) -> None:
    world.read()
    world.sheet.extend([row(1), row(2), row(1), row(1)])
    world.read(1)
    assert world.submissions("data ->> 'Name', copies, position") == [("P2", 1, 3), ("P1", 3, 5)]
    assert len(world.events()) == 2
    del world.sheet[3:]
    world.read(2)
    assert world.submissions("copies", "data ->> 'Name' = 'P1'") == [1]
    assert len(world.events()) == 2


@pytest.mark.fault(39)
def test_key_columns_identify_a_submission_whatever_else_changes(world: FormWorld) -> None:
    world.form(key_columns=["Nr"])
    world.google.sheets["sheet-1", "answers"] = [
        ["Nr", *HEADER], [7, *row(1)], ["8", *row(2)], ["", *row(3)]
    ]  # fmt: skip
    world.read()
    # Reordered, edited and re-formatted at once: a number may be text, with trailing zeros.
    world.sheet[1:] = [[8.0, *row(2, "Bob", "Oslo")], ["", *row(3)], ["7.0", *row(1, "Ada")]]
    done = world.read(1)
    assert (done.new, done.missing) == (0, 0)
    assert world.submissions("data ->> 'Name', position") == [("Ada", 4), ("Bob", 2), ("P3", 3)]
    assert world.events() == []


def test_a_question_comes_and_goes_and_its_answers_stay(world: FormWorld) -> None:
    world.sheet.extend([row(1), row(2)])
    world.read()
    hashes = world.submissions("row_hash")
    world.sheet[0] = ["Size", *HEADER]
    world.sheet[1:] = [["", *row(1)], ["XL", *row(2)]]
    assert world.read(1).edited == 1
    assert world.submissions("row_hash")[0] == hashes[0]
    assert world.submissions("data ->> 'Size'") == [None, "XL"]
    world.sheet[:] = [HEADER, row(1), row(2)]
    world.read(2)
    assert world.submissions("data ->> 'Size'") == [None, "XL"]
    assert world.events() == []


def test_a_sheet_without_a_mapped_column_fails_the_form_and_changes_nothing(
    world: FormWorld,
) -> None:
    world.sheet.extend([row(1), row(2)])
    world.read()
    before = world.dump(["forms.submissions", "crm.contacts"])
    world.sheet[:] = [["Timestamp", "Mail", "Name", "City"], row(3)]
    done = world.job(1)
    assert (done["ok"], done["failed"], done["succeeded"]) == (0, 1, False)
    [(item, error)] = world.rows("select item, error from ops.item_failures")
    assert item == "contact-us of acme"
    assert error.startswith("The sheet has no column 'E-mail', and nothing is read")
    assert world.rows("select error from forms.readings") == [(error,)]
    assert world.dump(["forms.submissions", "crm.contacts"]) == before
    world.sheet[:] = [HEADER, row(1), row(2), row(3)]
    assert world.job(2)["ok"] == 1
    assert world.rows("select error from forms.readings") == [(None,)]
    assert len(world.events()) == 1


def test_a_renamed_column_is_followed_when_the_form_follows_it(world: FormWorld) -> None:
    world.sheet.extend([row(1), row(2)])
    world.read()
    world.sheet[0] = ["When", "Your address", "Name", "City"]
    world.form(mapping={"When": "submitted_at", "Your address": "email", "Name": "first_name",
                        "City": "city"})  # fmt: skip
    world.sheet[2] = row(2, "Bob")
    world.sheet.append(row(3))
    done = world.read(1)
    assert (done.new, done.edited) == (1, 2)
    assert world.submissions("data ->> 'Your address', data ->> 'Name', data ? 'E-mail'") == [
        ("p1@x.example", "P1", False), ("p2@x.example", "Bob", False),
        ("p3@x.example", "P3", False),
    ]  # fmt: skip
    assert len(world.events()) == 1


def test_other_columns_that_identify_double_nothing(world: FormWorld) -> None:
    world.sheet.extend([row(1), row(2), row(1, "Twice")])
    world.read()
    world.form(mapping={"E-mail": "email", "Name": "first_name"})
    assert world.read(1).new == 0
    world.form(key_columns=["E-mail"])
    assert world.read(2).new == 0
    assert world.submissions("data ->> 'Name', copies, missing_since is null") == [
        ("Twice", 2, True), ("P2", 1, True), ("Twice", 1, False)
    ]  # fmt: skip
    assert world.events() == []


def test_another_sheet_is_read_as_a_first_one_and_a_moved_one_is_not(world: FormWorld) -> None:
    world.sheet.extend([row(1), row(2)])
    world.read()
    world.google.sheets["sheet-2", "copy"] = [HEADER, row(1), row(2), row(3)]
    world.form(spreadsheet_id="sheet-2", sheet="copy")
    world.read(1)
    assert len(world.events()) == 1
    world.google.sheets["sheet-3", "other"] = [HEADER, *(row(number) for number in range(10, 15))]
    world.form(spreadsheet_id="sheet-3", sheet="other")
    done = world.read(2)
    assert (done.new, done.missing) == (5, 3)
    assert len(world.events()) == 1


def test_rows_that_are_prepared_or_blank_are_no_submissions(world: FormWorld) -> None:
    world.google.sheets["sheet-1", "answers"] = [
        [*HEADER, "Called"], ["", "", "", "", False], [], [*row(1), True], ["", " ", "", "", False]
    ]  # fmt: skip
    world.form(mapping={**MAPPING, "Called": "called"})
    world.read()
    assert world.submissions("position, data -> 'Called'") == [(4, True)]
