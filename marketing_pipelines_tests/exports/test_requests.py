"""Asking for exports: what is refused, what happens once, what is cancelled, who gets a mail."""

import datetime as dt
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.exports import progress, requesting, working
from marketing_pipelines.domains.exports.standing import (
    counts_of,
    remove_expired,
    remove_unnamed,
    settle_lost,
)
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines_tests.exports.exporting import EXPORTS, NOW, Exporter


def store_of(exporter: Exporter) -> FileStore:
    """The files of the installation."""
    return FileStore(exporter.installation.settings.effective_files_url)


def files_of(exporter: Exporter) -> list[str]:
    """The paths of the files of all exports."""
    return [file.path for file in store_of(exporter).files("exports")]


def some_contacts(exporter: Exporter, number: int = 3, *, after: int = 0) -> None:
    """Contacts c1, c2 and so on, of which each is a day younger than the one before."""
    exporter.installation.execute(
        "insert into crm.contacts (organization_id, external_id, attributes, created_at)"
        " select :own, 'c' || n, '{\"city\": \"Bonn\"}',"
        " timestamptz '2026-03-01 00:00+01' + n * interval '1 day'"
        " from generate_series(:after + 1, :after + :number) as n",
        own=exporter.organization,
        after=after,
        number=number,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"columns": ["email", "nope"]}, "columns: there is no column 'nope'"),
        ({"columns": ["email", "email"]}, "columns: 'email' is named twice."),
        ({"columns": []}, "columns: name at least one"),
        ({"from": "yesterday"}, "from: 'yesterday' is neither a day"),
        ({"from": "2026-03-02T00:00:00"}, "from: '2026-03-02T00:00:00' is neither a day"),
        ({"from": "2026-03-02", "to": "2026-03-02"}, "to: '2026-03-02' is not after from"),
        ({"kind": "events", "from": "2026-03-02"}, "to: an export of events needs from and to."),
        ({"kind": "activities"}, "from: an export of activities needs from and to."),
        ({"kind": "contact"}, "contact: name the contact whose data is exported."),
        ({"kind": "contact", "contact": "c1", "format": "xlsx"}, "format: the data of a contact"),
        ({"kind": "campaign_stats", "segment": "s"}, "segment: campaign_stats are about no"),
        ({"kind": "contacts", "contact": "c1"}, "contact: the kind contact exports all data"),
        ({"format": "doc"}, "format"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    exporter: Exporter, body: dict[str, Any], sentence: str
) -> None:
    some_contacts(exporter)
    order = {"organization": exporter.name, "kind": "contacts", "format": "csv", **body}
    answer = exporter.client.post(EXPORTS, json=order, headers=exporter.bearer)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(sentence)
    assert exporter.rows("select count(*) from exports.requests where organization_id = :own") == [
        (0,)
    ]


def test_names_that_do_not_exist_are_404(exporter: Exporter) -> None:
    for field, name in (("segment", "s"), ("notify", ["u"])):
        answer = exporter.ask(**{field: name})
        assert answer.status_code == 404
        assert answer.json()["error"].startswith(f"{field}: there is no ")


def test_more_rows_than_allowed_are_refused_with_their_number(exporter: Exporter) -> None:
    some_contacts(exporter)
    exporter.installation.execute(
        """update crm.organizations set settings = '{"exports": {"max_rows": 2}}'"""
    )
    answer = exporter.ask()
    assert answer.status_code == 422
    assert answer.json()["error"] == (
        "contacts: there are 3 rows, and exports.max_rows allows 2: choose fewer by from and to, "
        "or by a segment."
    )
    assert exporter.ask(**{"from": "2026-03-03"}).status_code == 202
    some_contacts(exporter, 30, after=3)
    assert "there are more than 20 rows" in exporter.ask().json()["error"]


def test_a_document_of_a_contact_with_too_many_rows_is_refused(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_contacts(exporter)
    monkeypatch.setattr(requesting, "MAX_PDF_ROWS", 0)
    answer = exporter.ask("contact", "pdf", contact="c1")
    assert answer.status_code == 422
    assert answer.json()["error"].endswith("a pdf takes 0: take json.")
    assert exporter.ask("contact", "json", contact="c1").status_code == 202


def test_a_key_makes_one_export(exporter: Exporter) -> None:
    some_contacts(exporter)
    first = exporter.ask(idempotency_key="k")
    again = exporter.ask(idempotency_key="k")
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert exporter.ask("contacts", "json", idempotency_key="k").status_code == 409
    assert exporter.work() == ["exports/work_request"]
    assert exporter.ask(idempotency_key="k").json()["state"] == "ready"


def test_days_are_those_of_the_organization_and_columns_have_their_order(
    exporter: Exporter,
) -> None:
    some_contacts(exporter)
    content = exporter.exported(
        columns=["city", "external_id"], **{"from": "2026-03-02", "to": "2026-03-04"}
    )
    assert content.decode() == "city,external_id\nBonn,c1\nBonn,c2\n"


def test_only_members_of_a_segment_are_in_the_file(exporter: Exporter) -> None:
    some_contacts(exporter)
    exporter.installation.execute(
        "with made as (insert into segments.segments (organization_id, external_id)"
        " values (:own, 's') returning id)"
        " insert into segments.memberships (segment_id, contact_id, entered_at, left_at)"
        " select made.id, contacts.id, now(), case external_id when 'c3' then now() end"
        " from made, crm.contacts where external_id in ('c2', 'c3')",
        own=exporter.organization,
    )
    content = exporter.exported(segment="s", columns=["external_id"])
    assert content.decode() == "external_id\nc2\n"


def test_users_get_a_mail_with_the_link(exporter: Exporter) -> None:
    some_contacts(exporter)
    exporter.installation.execute(
        "insert into crm.users (organization_id, external_id, email, active)"
        " values (:own, 'u1', 'u1@example.com', true), (:own, 'u2', 'u2@example.com', false)",
        own=exporter.organization,
    )
    number = exporter.ask(notify=["u1", "u2"]).json()["id"]
    exporter.work()
    exporter.work()
    [(variables,)] = exporter.rows(
        "select variables from delivery.messages where organization_id = :own"
    )
    shown = exporter.show(number)
    assert variables == {
        "url": shown["url"],
        "expires_at": "2026-03-09 09:00 UTC",
        "size": f"{shown['size']} bytes",
    }


def test_a_queued_export_is_cancelled_for_good(exporter: Exporter) -> None:
    some_contacts(exporter)
    number = exporter.ask().json()["id"]
    path = f"{EXPORTS}/{number}"
    for _ in range(2):
        answer = exporter.client.delete(path, headers=exporter.bearer)
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    exporter.work()
    assert exporter.status(number).state == "cancelled"
    assert files_of(exporter) == []
    done = exporter.ask().json()["id"]
    exporter.work()
    assert exporter.client.delete(f"{EXPORTS}/{done}", headers=exporter.bearer).status_code == 409


def test_a_running_export_is_interrupted_when_it_is_cancelled(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_contacts(exporter)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.05)
    number = exporter.ask().json()["id"]
    # The first row needs a lock that another holds, as a statement that takes very long.
    with exporter.engine.begin() as blocking:
        blocking.exec_driver_sql("lock table crm.companies in access exclusive mode")
        working_thread = threading.Thread(target=exporter.work)
        working_thread.start()
        while exporter.status(number).state != "running":
            time.sleep(0.02)
        answer = exporter.client.delete(f"{EXPORTS}/{number}", headers=exporter.bearer)
        assert answer.status_code == 200
        working_thread.join(20)
        assert not working_thread.is_alive()
    assert exporter.status(number).state == "cancelled"
    assert files_of(exporter) == []


def test_an_attempt_without_progress_ends_and_begins_anew(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_contacts(exporter)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(progress, "MAX_SILENCE", dt.timedelta(seconds=0.3))
    number = exporter.ask().json()["id"]
    with exporter.engine.begin() as blocking:
        blocking.exec_driver_sql("lock table crm.companies in access exclusive mode")
        exporter.work()
    stopped = exporter.status(number)
    assert (stopped.state, stopped.attempt) == ("queued", 1)
    assert stopped.error is not None
    assert stopped.error.startswith("Nothing was written for")
    exporter.installation.execute("update procrastinate_jobs set scheduled_at = null")
    exporter.work()
    assert exporter.status(number).state == "ready"
    assert files_of(exporter) == [f"exports/{number}/2.csv"]


def test_a_store_that_fails_twice_fails_the_export(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_contacts(exporter)
    number = exporter.ask().json()["id"]
    folder = Path(exporter.installation.settings.effective_files_url)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "exports").write_text("in the way")
    exporter.work()
    exporter.installation.execute("update procrastinate_jobs set scheduled_at = null")
    exporter.work()
    failed = exporter.status(number)
    assert (failed.state, failed.attempt) == ("failed", 2)
    assert failed.error is not None
    assert "MARKETING_FILES_URL" in failed.error
    (folder / "exports").unlink()


def test_the_export_of_a_killed_worker_fails_with_its_task(exporter: Exporter) -> None:
    some_contacts(exporter)
    number = exporter.ask().json()["id"]
    exporter.installation.execute("update exports.requests set state = 'running', attempt = 1")
    assert settle_lost(exporter.engine.begin, store_of(exporter), NOW) == []
    store_of(exporter).write(f"exports/{number}/1.csv", b"half")
    exporter.installation.execute("update procrastinate_jobs set status = 'failed'")
    assert settle_lost(exporter.engine.begin, store_of(exporter), NOW) == [number]
    assert exporter.status(number).state == "failed"
    assert files_of(exporter) == []
    with exporter.engine.begin() as connection:
        assert counts_of(connection, NOW)["failed"] == 1


def test_files_go_when_their_days_are_over(exporter: Exporter) -> None:
    some_contacts(exporter)
    number = exporter.ask().json()["id"]
    exporter.work()
    ends_at = time.monotonic() + 60
    day = dt.timedelta(days=1)
    removed = remove_expired(
        exporter.engine.begin, store_of(exporter), NOW + 6 * day, ends_at=ends_at
    )
    assert removed.files == 0
    removed = remove_expired(
        exporter.engine.begin, store_of(exporter), NOW + 7 * day, ends_at=ends_at
    )
    assert (removed.files, removed.failed) == (1, 0)
    assert files_of(exporter) == []
    exporter.now = NOW + 7 * day
    assert exporter.status(number).state == "expired"
    assert exporter.status(number).rows == 3


def test_files_that_no_row_names_go(exporter: Exporter) -> None:
    some_contacts(exporter)
    ready = exporter.ask().json()["id"]
    exporter.work()
    queued, failed = (exporter.ask().json()["id"] for _ in range(2))
    exporter.installation.execute(
        "update exports.requests set state = 'failed' where id = :id", id=failed
    )
    store = store_of(exporter)
    for number in (queued, failed, 999_999):
        store.write(f"exports/{number}/1.csv", b"x")
    removed = remove_unnamed(exporter.engine.begin, store, ends_at=time.monotonic() + 60)
    assert (removed.files, removed.failed) == (2, 0)
    assert files_of(exporter) == [f"exports/{ready}/1.csv", f"exports/{queued}/1.csv"]


def test_an_export_whose_commit_was_done_and_not_heard_of_keeps_its_file(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_contacts(exporter)
    settle = working._settle

    def settle_and_lose(*given: Any) -> None:
        settle(*given)
        raise ConnectionError("the connection was lost")

    monkeypatch.setattr(working, "_settle", settle_and_lose)
    number = exporter.ask().json()["id"]
    exporter.work()
    assert exporter.status(number).state == "ready"
    assert files_of(exporter) == [f"exports/{number}/1.csv"]


def test_a_redriven_dead_letter_is_worked_again(exporter: Exporter) -> None:
    some_contacts(exporter)
    number = exporter.ask().json()["id"]
    exporter.installation.execute("update exports.requests set state = 'failed', error = 'once'")
    exporter.work()
    with exporter.engine.begin() as connection:
        row = connection.execute(
            sa.text("select state, error from exports.requests where id = :id"), {"id": number}
        ).one()
    assert tuple(row) == ("ready", None)
