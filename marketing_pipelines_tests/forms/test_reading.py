"""Sheets over their connection: faults of Google and of single sheets, tokens, order, sizes."""

import datetime as dt
import signal
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.forms import reading, sheets
from marketing_pipelines.domains.integrations.http import HttpLimits
from marketing_pipelines.domains.integrations.syncs import Pacing
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.forms.google import (
    HEADER,
    TEN,
    FormWorld,
    refusal,
    row,
)
from marketing_pipelines_tests.integrations.service import (
    BROKEN,
    FOR_AN_HOUR,
    NO_JSON,
    SLOW_DOWN,
    Said,
)
from marketing_pipelines_tests.integrations.world import NIGHT, everything_in
from marketing_pipelines_tests.waiting import until

JOB = "forms/sheet_submissions"
WAITING = sa.text(
    "select 1 from pg_locks where not granted and relation = 'forms.submissions'::regclass"
    " and database = (select oid from pg_database where datname = current_database())"
)


def with_forms(world: FormWorld, *names: str) -> None:
    """Adds forms, each on a sheet of its own with one row."""
    for number, name in enumerate(names):
        world.google.sheets[f"sheet-{name}", "answers"] = [HEADER, row(100 + number)]
        world.form(external_id=name, spreadsheet_id=f"sheet-{name}")


def errors(world: FormWorld) -> dict[str, str]:
    """The failing items with their errors."""
    return dict(world.rows("select item, error from ops.item_failures"))


@pytest.mark.parametrize("mood", [SLOW_DOWN, BROKEN, FOR_AN_HOUR], ids=["429", "500", "an hour"])
def test_the_forms_of_a_connection_wait_for_the_next_tick(world: FormWorld, mood: Said) -> None:
    with_forms(world, "other")
    served = world.google.answer

    def answer(asked: Any) -> Said:
        return served(asked) if asked.path == "/token" else mood

    world.google.outside.answer = answer
    now = NIGHT + dt.timedelta(minutes=1)

    def read(at: dt.datetime) -> dict[str, Any]:
        pacing = Pacing(clock=lambda: at)
        return world.run(lambda tick: reading.read_sheets(tick, pacing), NIGHT)

    done = read(now)
    assert (done["ok"], done["failed"], done["waiting"]) == (0, 1, 2)
    assert list(errors(world)) == ["google of acme"]
    calls = len(world.google.reads())
    # A retry of the tick calls nobody.
    done = read(now + dt.timedelta(minutes=1))
    assert (done["waiting"], done["succeeded"], len(world.google.reads())) == (1, True, calls)
    world.google.outside.answer = served
    # The clock of the job in these tests is a day.
    done = read(NIGHT + dt.timedelta(days=1))
    assert (done["ok"], done["failed"]) == (2, 0)
    # The one that was tried comes last.
    assert world.google.reads()[calls:] == ["sheet-other", "sheet-1"]
    assert world.state("google") == [("acme", "ok", None)]
    assert errors(world) == {}


def test_rows_of_a_form_that_was_read_before_the_others_wait_are_counted(world: FormWorld) -> None:
    with_forms(world, "other")
    world.sheet.append(row(1))
    world.google.refused = {"sheet-other": SLOW_DOWN}
    done = world.job()
    assert (done["ok"], done["failed"], done["waiting"]) == (1, 1, 1)
    assert (done["rows"], done["submissions_new"]) == (1, 1)
    assert world.submissions() == ["P1"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"spreadsheet_id": "sheet-9"},
         "Google answers 404 (Requested entity was not found): the form has to name a spreadsheet"
         " and a tab that are shared with the account"),
        ({"sheet": "it's gone"},
         "Google answers 400 (Unable to parse range: 'it''s gone'): the form has"),
        ({"spreadsheet_id": "secret"},
         "Google answers 403 (The caller does not have permission): the form has to name"),
        ({"spreadsheet_id": "broken"}, "does not answer with the values of a sheet."),
        ({"header_row": 9}, "Row 9 of the sheet is empty"),
    ],
)  # fmt: skip
def test_a_sheet_that_cannot_be_read_stops_no_other(
    world: FormWorld, change: dict[str, Any], sentence: str
) -> None:
    world.google.refused = {
        "secret": refusal(403, "PERMISSION_DENIED", "The caller does not have permission"),
        "broken": Said({"values": {"a": 1}}),
    }
    world.form(**change)
    with_forms(world, "other")
    done = world.job()
    assert (done["ok"], done["failed"], done["waiting"]) == (1, 1, 0)
    assert sentence in errors(world)["contact-us of acme"]
    assert world.submissions("organization_id") == [world.organizations["acme"]]
    assert world.state("google") == [("acme", "ok", None)]


def test_a_sheet_of_too_many_values_fails_with_a_sentence(
    world: FormWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "LIMITS", HttpLimits(attempts=1, max_bytes=1 << 20))
    world.sheet.extend([["x" * 40_000]] * 30)
    world.job()
    assert errors(world) == {
        "contact-us of acme": "The sheet 'answers' has more than 1 MB of values: move older rows"
        " to another sheet."
    }


def test_an_ended_token_is_replaced_once_and_a_refused_account_waits(world: FormWorld) -> None:
    with_forms(world, "other")
    world.job()
    assert world.google.tokens == 1
    served, ended = world.google.answer, []

    def answer(asked: Any) -> Said:
        if asked.path != "/token" and not ended:
            ended.append(True)
            world.google.valid = None
        return served(asked)

    world.google.outside.answer = answer
    assert world.job(1)["ok"] == 2
    assert world.google.tokens == 3

    def refuse(asked: Any) -> Said:
        if asked.path == "/token":
            return Said({"error": "invalid_grant", "error_description": "No such key."}, status=400)
        return served(asked)

    world.google.outside.answer = refuse
    done = world.job(2)
    assert (done["ok"], done["failed"]) == (0, 1)
    [(_, state, error)] = world.state("google")
    assert state == "reconnect"
    assert error.endswith(
        "/token answers 400 (No such key): give another key with `connection set`."
    )
    calls = len(world.google.outside.asked)
    done = world.job(3)
    assert (done["waiting"], done["failed"], done["succeeded"]) == (1, 0, True)
    assert len(world.google.outside.asked) == calls


def test_a_form_may_use_a_grant_and_waits_with_it(world: FormWorld) -> None:
    world.google.valid = "ya29.of-the-grant"
    world.connect(
        "oauth", name="ann", token_url=f"{world.google.outside.url}/token", client_id="app",
        refresh_token="refresh-1-aaaaaaaa", access_token="ya29.of-the-grant",
    )  # fmt: skip
    world.connect("google", name="ann", url=world.google.outside.url, grant="ann",
                  per_minute=10_000)  # fmt: skip
    world.form(connection="google:ann")
    world.sheet.append(row(1))
    assert world.job()["ok"] == 1
    assert world.submissions() == ["P1"]
    world.execute("update integrations.connections set state = 'reconnect', expires_at = null"
                  " where provider = 'oauth'")  # fmt: skip
    done = world.job(1)
    assert (done["failed"], done["succeeded"]) == (0, True)
    assert done["waiting"] >= 1
    assert errors(world) == {}


def test_forms_without_connection_or_switched_off_are_not_read(world: FormWorld) -> None:
    world.execute("delete from integrations.connections")
    done = world.job()
    assert (done["waiting"], done["succeeded"]) == (1, True)
    assert "1 forms wait for a connection: load them again with one." in done["note"]
    world.form(enabled=False)
    assert world.job(1)["waiting"] == 1
    assert world.google.outside.asked == []


def test_a_form_that_changes_while_it_is_read_waits_for_the_next_tick(world: FormWorld) -> None:
    world.sheet.append(row(1))
    served = world.google.answer

    def answer(asked: Any) -> Said:
        if "/values/" in asked.path:
            world.form(mapping={"E-mail": "email"})
        return served(asked)

    world.google.outside.answer = answer
    assert world.job()["rows"] == 0
    world.google.outside.answer = served
    assert world.job(1)["rows"] == 1
    assert world.rows("select first_name from crm.contacts") == [(None,)]


def test_secrets_stand_in_no_table(world: FormWorld) -> None:
    world.sheet.append(row(1))
    world.job()
    world.google.outside.misbehave(NO_JSON)
    world.job(1)
    with world.installation.engine.connect() as connection:
        found = everything_in(connection)
    assert str(world.google.valid) not in found
    assert "PRIVATE KEY" not in found


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "google cannot be used: it needs either key or grant."),
        ({"key": {"type": "authorized_user"}}, "google cannot be used: key is not the JSON file"),
        ({"key": {"type": "service_account", "private_key": "x"}},
         "google cannot be used: key has no client_email: give the whole JSON file"),
        ({"key": {"type": "service_account", "client_email": "a", "private_key": "x",
                  "token_uri": "https://x.example"}},
         "google cannot be used: the private_key of key is damaged: download a new key."),
    ],
)  # fmt: skip
def test_an_account_that_cannot_be_used_is_refused(
    fields: dict[str, Any], sentence: str, tmp_path: Any
) -> None:
    from marketing_pipelines.domains.integrations.providers import GOOGLE
    from marketing_pipelines.failures import BadInputError

    with pytest.raises(BadInputError) as refused:
        GOOGLE.validated(fields)
    assert str(refused.value).startswith(sentence)


def test_the_test_of_a_connection_names_the_account(world: FormWorld) -> None:
    done = call_here("connection", "test", "google", "--organization", "acme")
    assert done.stdout == (
        "The connection google of acme works: Google knows robot@sheets.example; share the sheets"
        " of forms with this address.\n"
    )


def test_a_run_that_is_killed_before_its_commit_loses_and_doubles_nothing(
    world: FormWorld,
) -> None:
    world.job()
    world.sheet.extend([row(1), row(2)])
    at = NIGHT + TEN
    with world.installation.engine.connect() as connection:
        connection.exec_driver_sql("lock table forms.submissions in exclusive mode")
        run = Forked("marketing_pipelines", "run", JOB, "--at", f"{at:%Y-%m-%dT%H:%M:%S}")
        with world.installation.engine.connect() as looking:
            until(lambda: looking.execute(WAITING).first(), what="the run to come to its rows")
        run.send_signal(signal.SIGKILL)
        run.wait()
        connection.rollback()
    assert world.submissions() == []
    assert world.rows("select count(*) from crm.contacts") == [(0,)]
    assert world.job(1)["rows"] == 2
    assert world.submissions() == ["P1", "P2"]
    assert len(world.events()) == 2
    assert len(world.events("contact.created")) == 2
