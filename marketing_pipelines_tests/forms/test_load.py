"""The file of forms: bad ones are refused with a sentence, connections are named as users do."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.forms.mapping import MappedColumn, mapping_problem, read_mapping
from marketing_pipelines.domains.integrations import connections
from marketing_pipelines.loading import load_rows
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
GOOD: dict[str, Any] = {
    "external_id": "contact-us",
    "organization_id": "acme",
    "spreadsheet_id": "1AbC-d_9",
    "sheet": "Form responses 1",
    "mapping": {"E-mail": "email"},
    "connection": "google",
}


def refusals(installation: Installation, *rows: dict[str, Any]) -> list[tuple[str, str]]:
    _, rejects = load_rows(
        installation.engine, "forms", rows, settings=installation.settings, now=NOW
    )
    return [(column, reason) for _, column, reason in rejects]


def test_a_form_names_its_connection_which_waits_until_it_is_set(emptied: Installation) -> None:
    named = [
        GOOD | {"external_id": name, "connection": connection}
        for name, connection in (("a", "google"), ("b", "google:team.1"), ("c", "google"))
    ]
    assert refusals(emptied, *named) == []
    assert emptied.rows(
        "select form.external_id, connection.provider, connection.external_id, state, error,"
        " header_row, backfill, enabled"
        " from forms.forms as form join integrations.connections as connection"
        " on connection.id = form.connection_id order by 1"
    ) == [
        (name, "google", own, "reconnect",
         "It is not set: `marketing-pipelines connection set google` sets it.", 1, False, True)
        for name, own in (("a", ""), ("b", "team.1"), ("c", ""))
    ]  # fmt: skip
    emptied.execute("delete from integrations.connections where external_id = ''")
    assert emptied.rows("select external_id from forms.forms where connection_id is null") == [
        ("a",), ("c",)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "column", "reason"),
    [
        ({"connection": "smtp:x"}, "connection", "names no connection: write google, or"),
        ({"spreadsheet_id": "https://docs.google.com/spreadsheets/d/1AbC-d_9/edit"},
         "spreadsheet_id", "is not the id of a spreadsheet: write the part of its address"),
        ({"sheet": "x" * 201}, "sheet", "is longer than 200 characters"),
        ({"header_row": 0}, "header_row", "'0' is less than 1"),
        ({"key_columns": ["Nr", " Nr"]}, "key_columns", "names 'Nr' twice"),
        ({"key_columns": [str(n) for n in range(21)]}, "key_columns", "names more than 20 columns"),
        ({"mapping": {"Name": "first_name"}}, "mapping", "fills neither email nor external_id"),
    ],
)  # fmt: skip
def test_a_form_that_cannot_be_read_is_refused(
    shared_installation: Installation, cells: dict[str, Any], column: str, reason: str
) -> None:
    [(found, text)] = refusals(shared_installation, GOOD | cells)
    assert found == column
    assert text.startswith(reason)


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ('{"Mail": "email", " Mail ": "phone"}', "names the column 'Mail' twice"),
        ('{"Mail": "email", "Work": "email"}', "fills email twice"),
        ('{"Mail": "email", "Score": "lead_score"}', "cannot fill lead_score: of a contact it"),
        ('{"Mail": "email", "At": {"column": "submitted_at", "overwrite": true}}',
         "cannot overwrite submitted_at"),
        ('{"Mail": "email", "Born": {"column": "first_name", "type": "date"}}',
         "gives first_name a type, which only attributes have"),
        ('{"Mail": "email", "Born": {"to": "born"}}',
         "cannot be used at 'Born.column': field required"),
        ('{"Mail": "email", " ": "city"}', "has an empty name"),
        ('{"Mail": 7}', "cannot be used at 'Mail': input should be a valid dictionary"),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_used_has_a_reason(mapping: str, reason: str) -> None:
    found = mapping_problem(mapping)
    assert found is not None
    assert found.startswith(reason)


def test_a_mapping_is_read_in_the_order_of_its_targets() -> None:
    given = {
        " Mail ": "email",
        "Born": {"column": "born", "type": "date", "overwrite": True},
        "Timestamp": "submitted_at",
    }
    assert read_mapping(given) == [
        MappedColumn("Born", "born", True, "date"),
        MappedColumn("Mail", "email", False, None),
        MappedColumn("Timestamp", "submitted_at", False, None),
    ]


def test_a_load_and_the_removal_of_its_connection_wait_for_each_other(
    emptied: Installation,
) -> None:
    assert refusals(emptied, GOOD) == []
    engine = emptied.engine

    def remove() -> None:
        with engine.begin() as connection:
            [found] = connections.all_of(connection)
            connections.remove(connection, found)

    with engine.connect() as loading, ThreadPoolExecutor(1) as pool:
        # A load locks the row of a form first, and its connection afterwards.
        loading.execute(sa.text("update forms.forms set name = 'Contact us'"))
        removal = pool.submit(remove)
        until(lambda: waits_for_a_lock(engine), what="the removal to wait")
        loading.execute(
            sa.text(
                "insert into forms.forms (organization_id, external_id, spreadsheet_id, sheet,"
                " mapping, connection_id) select organization_id, 'other', spreadsheet_id, sheet,"
                " mapping, connection_id from forms.forms"
            )
        )
        loading.commit()
        removal.result(timeout=60)
    assert emptied.rows("select external_id, connection_id from forms.forms order by 1") == [
        ("contact-us", None), ("other", None)
    ]  # fmt: skip
