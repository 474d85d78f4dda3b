"""An interrupted erasure goes on, a restored database erases again, new relationships stay."""

import datetime as dt
import itertools
import json
import os
import signal
import subprocess
import time
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.upkeep.erasing import erasing
from marketing_pipelines.domains.upkeep.erasing.restoring import apply_erasures
from marketing_pipelines.secret_keys import secret_key
from marketing_pipelines.stores import persons
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import SOAK, soak_only
from marketing_pipelines_tests.upkeep.erased import AT, erase

NIGHT = dt.datetime(2026, 3, 2, 3, 30, tzinfo=dt.UTC)
PRESENT = "the present secret key, of 32 characters or more"
CONTACTS = "select external_id, email from crm.contacts order by id"
ANONYMOUS = [("erased:1", None), ("ben", "ben@example.org")]


@pytest.fixture
def site(emptied: Installation, tmp_path: Path) -> Installation:
    """An organization with the contacts jane and ben."""
    emptied.execute("update ops.installation set erasure_key = null")
    for path in (emptied.settings.data_dir / "files" / "erasures").glob("*"):
        path.unlink()
    load(emptied, tmp_path, external_id="jane", email="jane@example.org")
    load(emptied, tmp_path, external_id="ben", email="ben@example.org")
    return emptied


def load(site: Installation, folder: Path, **row: str) -> None:
    path = folder / "contacts.jsonl"
    path.write_text(json.dumps({"organization_id": "acme"} | row))
    assert site.load("contacts", path, restore_consent=True).rejected == 0


def begun(site: Installation) -> object:
    with site.engine.connect() as connection:
        person = persons.identity_of(connection, 1, [1])
    return erasing.begin(site.engine, site.settings, person, now=AT)


def run(site: Installation, at: dt.datetime = NIGHT) -> None:
    [outcome] = site.run("upkeep/erasures", at=at)
    assert outcome.status == "COMPLETED", outcome.error


def test_the_nightly_job_finishes_what_a_killed_command_began(site: Installation) -> None:
    begun(site)
    assert site.rows(CONTACTS)[0] == ("jane", "jane@example.org")
    run(site)
    assert site.rows(CONTACTS) == ANONYMOUS
    assert site.rows(
        "select names is null, lake_done_at = :night, tables_done_at = :night from ops.erasures",
        night=NIGHT,
    ) == [(True, True, True)]
    run(site, NIGHT + dt.timedelta(days=1))
    assert site.rows("select lake_done_at from ops.erasures") == [(NIGHT,)]


def erased_until_commit(site: Installation, number: int) -> bool:
    """Erases Jane in a process that is killed at its commit of this number; False: it has fewer."""
    child = os.fork()
    if child == 0:
        engine = create_engine(site.engine.url)
        commits = itertools.count(1)

        @sa.event.listens_for(engine, "commit")
        def kill(_connection: sa.Connection) -> None:
            if next(commits) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        status = 1
        try:
            erase(engine, site.settings, "acme", "jane")
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    assert ended in (0, -signal.SIGKILL), "the erasure failed by itself"
    return ended != 0


def test_an_erasure_killed_at_any_commit_is_finished_by_the_nightly_job(
    site: Installation, tmp_path: Path
) -> None:
    numbers = itertools.count(1) if SOAK else iter((1, 2, 3, 100))
    number = 0
    for number in numbers:
        was_killed = erased_until_commit(site, number)
        has_begun = bool(site.rows("select from ops.erasures"))
        run(site)
        named = site.rows("select email from crm.contacts where external_id <> 'ben'")
        if has_begun:
            assert named == [(None,)]
            assert site.rows("select lake_done_at, names from ops.erasures") == [(NIGHT, None)]
        else:
            assert named == [("jane@example.org",)], "nothing had begun"
        if not was_killed:
            break
        site.execute("delete from ops.erasures")
        site.execute("delete from crm.contacts where external_id <> 'ben'")
        load(site, tmp_path, external_id="jane", email="jane@example.org")
    assert number > 3


def test_a_mail_that_comes_while_rows_are_erased_loses_its_file(site: Installation) -> None:
    store = FileStore(site.settings.effective_files_url)
    for path in ("mail/late.eml", "mail/shared.eml"):
        store.write(path, b"From: jane@example.org")
    add = sa.text(
        "insert into inbox.email_messages"
        " (organization_id, identity, contact_ids, received_at, direction, share, raw_path)"
        " values (1, gen_random_uuid()::text, array[cast(:contact as bigint)], :at, 'in', 'full',"
        " :path)"
    )
    arrived: list[str] = []

    def arrive(_c: object, _cursor: object, statement: str, *_: object) -> None:
        """Commits mails of Jane on another connection just before hers are deleted."""
        if arrived or not statement.startswith("DELETE FROM inbox.email_messages"):
            return
        arrived.append(statement)
        with site.engine.begin() as connection:
            for contact, path in ((1, "late"), (1, "shared"), (2, "shared")):
                given = {"contact": contact, "at": AT, "path": f"mail/{path}.eml"}
                connection.execute(add, given)

    sa.event.listen(site.engine, "before_cursor_execute", arrive)
    try:
        erase(site.engine, site.settings, "acme", "jane")
    finally:
        sa.event.remove(site.engine, "before_cursor_execute", arrive)
    assert arrived
    assert site.rows("select contact_ids, raw_path from inbox.email_messages") == [
        ([2], "mail/shared.eml")
    ]
    assert [file.path for file in store.files("mail")] == ["mail/shared.eml"]
    store.remove("mail/shared.eml")


def test_two_requests_for_one_contact_are_one_erasure(site: Installation) -> None:
    assert begun(site) == begun(site)
    assert len(site.rows("select from ops.erasures")) == 1


def test_a_new_relationship_is_not_erased_with_the_old_one(
    site: Installation, tmp_path: Path
) -> None:
    erase(site.engine, site.settings, "acme", "jane")
    load(site, tmp_path, external_id="jane", email="jane@example.org", first_name="Jane")
    site.execute(
        "insert into delivery.suppressions (organization_id, address, channel, reason, since)"
        " values (1, 'jane@example.org', 'email', 'soft_bounce', now())"
    )
    run(site)
    assert site.rows(CONTACTS) == [*ANONYMOUS, ("jane", "jane@example.org")]
    assert site.rows("select address, reason from delivery.suppressions") == [
        ("jane@example.org", "soft_bounce")
    ]


def test_a_database_from_before_the_erasure_erases_the_person_again(
    site: Installation, tmp_path: Path
) -> None:
    erase(site.engine, site.settings, "acme", "jane")
    site.execute("delete from ops.erasures")
    site.execute("update ops.installation set erasure_key = null")
    site.execute(
        "update crm.contacts set external_id = 'jane', email = 'jane@example.org' where id = 1"
    )
    assert apply_erasures(site.engine, site.settings, now=NIGHT).failed == []
    assert site.rows(CONTACTS) == ANONYMOUS
    assert apply_erasures(site.engine, site.settings, now=NIGHT).erased == []
    path = tmp_path / "again.jsonl"
    path.write_text(json.dumps({"organization_id": "acme", "external_id": "jane"}))
    assert site.load("contacts", path).rejected == 1


def test_rows_of_an_address_are_erased_again_where_the_contact_came_after_the_backup(
    site: Installation,
) -> None:
    erase(site.engine, site.settings, "acme", "jane")
    site.execute("delete from ops.erasures")
    site.execute("update ops.installation set erasure_key = null")
    site.execute("delete from delivery.suppressions")
    site.execute(
        "insert into delivery.suppressions (organization_id, address, channel, reason, since)"
        " values (1, 'jane@example.org', 'email', 'soft_bounce', now()),"
        " (1, 'ben@example.org', 'email', 'soft_bounce', now())"
    )
    assert len(apply_erasures(site.engine, site.settings, now=NIGHT).erased) == 1
    assert site.rows("select address, reason from delivery.suppressions order by 1") == [
        ("ben@example.org", "soft_bounce"),
        (None, "erased"),
    ]


def test_a_person_who_came_back_is_accepted_after_a_restore(
    site: Installation, tmp_path: Path
) -> None:
    erasure_id = erase(site.engine, site.settings, "acme", "jane")
    load(site, tmp_path, external_id="jane", email="jane@example.org", first_name="Jane")
    run(site)
    read = json.loads(
        FileStore(site.settings.effective_files_url).read(f"erasures/{erasure_id}.json")
    )
    assert len(read["lifted"]) == 2
    site.execute("delete from crm.contacts where external_id = 'jane'")
    site.execute("delete from ops.erasures")
    assert apply_erasures(site.engine, site.settings, now=NIGHT).failed == []
    path = tmp_path / "lost.jsonl"
    lost = {"organization_id": "acme", "external_id": "jane", "email": "jane@example.org"}
    path.write_text(json.dumps(lost))
    assert site.load("contacts", path).rejected == 0
    assert site.rows("select address_hash from delivery.suppressions") == []


@pytest.mark.soak
@soak_only
def test_a_person_who_came_back_after_the_backup_is_accepted_after_its_restore(
    site: Installation, tmp_path: Path
) -> None:
    erase(site.engine, site.settings, "acme", "jane")
    run(site)
    load(site, tmp_path, external_id="jane", email="jane@example.org", first_name="Jane")
    run(site, NIGHT + dt.timedelta(days=1))
    # A backup from between the erasure and the return.
    site.execute("update ops.erasures set lifted = '{}'")
    site.execute("delete from crm.contacts where external_id = 'jane'")
    assert apply_erasures(site.engine, site.settings, now=NIGHT).erased == []
    path = tmp_path / "lost.jsonl"
    lost = {"organization_id": "acme", "external_id": "jane", "email": "jane@example.org"}
    path.write_text(json.dumps(lost))
    assert site.load("contacts", path).rejected == 0


def test_webhooks_about_no_contact_and_of_the_operator_lose_the_names(
    site: Installation,
) -> None:
    site.execute("update crm.contacts set first_name = 'Jane', last_name = 'Austen' where id = 1")
    site.execute(
        "with endpoint as (insert into webhooks.endpoints"
        " (organization_id, url, secret, created_at)"
        " values (1, 'https://example.org', 's', now()), (null, 'https://example.org', 's', now())"
        " returning id, organization_id)"
        " insert into webhooks.deliveries"
        " (endpoint_id, event_id, type, data, published_at, due_at)"
        " select id, coalesce(organization_id::text, 'operator'), 'a', jsonb_build_object('text',"
        " case when organization_id is null then 'jane@example.org failed'"
        " else 'call Jane Austen' end), now(), now() from endpoint"
    )
    erase(site.engine, site.settings, "acme", "jane")
    found = site.rows("select event_id, data ->> 'text' from webhooks.deliveries order by 1")
    assert found == [("1", "call erased"), ("operator", "erased failed")]


@pytest.mark.soak
@soak_only
def test_a_rotated_key_opens_files_and_names_of_erasures_without_the_former_one(
    site: Installation, tmp_path: Path
) -> None:
    backups = str(tmp_path / "backups")
    former = secret_key(site.settings)
    both = site.settings.model_copy(update={"backup_url": backups})
    erase(site.engine, both, "acme", "jane")
    with site.engine.connect() as connection:
        ben = persons.identity_of(connection, 1, [2])
    erasing.begin(site.engine, both, ben, now=AT)
    (tmp_path / "backups" / "erasures" / "damaged.json").write_text("{")

    def rotate() -> subprocess.CompletedProcess[str]:
        return call_here(
            "connection", "rotate", MARKETING_SECRET_KEY=PRESENT, MARKETING_BACKUP_URL=backups,
            MARKETING_OLD_SECRET_KEYS=former,
        )  # fmt: skip

    done = rotate()
    assert done.stdout.splitlines()[:3] == [
        "The key of the ledger of erasures had a former key.",
        "The names of 2 erasures that go on had a former key.",
        "2 files of erasures had a former key.",
    ]
    assert "erasures/damaged.json" in done.stderr
    (tmp_path / "backups" / "erasures" / "damaged.json").unlink()
    again = rotate()
    assert (again.stdout, again.returncode) == (
        "0 of 0 connections had secrets of a former key.\n", 0
    )  # fmt: skip

    present = both.model_copy(update={"secret_key": PRESENT})
    [(pending,)] = site.rows("select id from ops.erasures where tables_done_at is null")
    assert erasing.work(site.engine, present, pending, now=AT) == []
    assert [email for _, email in site.rows(CONTACTS)] == [None, None]
    site.execute("delete from ops.erasures")
    site.execute("update ops.installation set erasure_key = null")
    site.execute("update crm.contacts set external_id = 'jane' where id = 1")
    assert len(apply_erasures(site.engine, present, now=NIGHT).erased) == 2
    assert site.rows(CONTACTS)[0] == ANONYMOUS[0]


def test_a_store_of_backups_that_fails_holds_up_no_other_step(
    site: Installation, tmp_path: Path
) -> None:
    (tmp_path / "backups").write_text("a file where the folder is to be")
    settings = site.settings.model_copy(update={"backup_url": str(tmp_path / "backups")})
    FileStore(settings.effective_files_url).write("mail/1.eml", b"jane@example.org")
    site.execute(
        "insert into inbox.email_messages"
        " (organization_id, identity, contact_ids, raw_path, received_at, share)"
        " values (1, 'one', '{1}', 'mail/1.eml', now(), 'full')"
    )
    erasure_id = begun(site)
    problems = erasing.work(site.engine, settings, erasure_id, now=AT)
    assert len(problems) == len(set(problems)) >= 1
    assert all("MARKETING_BACKUP_URL" in problem for problem in problems)
    folder = site.settings.data_dir / "files"
    assert not (folder / "mail" / "1.eml").exists()
    assert (folder / "erasures" / f"{erasure_id}.json").exists()


def test_the_file_of_an_erasure_is_there_before_its_rows_go_and_has_names_that_came_since(
    site: Installation,
) -> None:
    erasure_id = begun(site)
    path = site.settings.data_dir / "files" / "erasures" / f"{erasure_id}.json"
    with site.engine.connect() as blocking:
        blocking.execute(sa.text("select from crm.contacts where id = 1 for update"))
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(erasing.work, site.engine, site.settings, erasure_id, now=AT)
            while not path.exists() and not work.done():
                time.sleep(0.01)
            first = json.loads(path.read_text())["hashes"]
            blocking.execute(sa.text("update crm.contacts set phone = '+491511234567'"
                                     " where id = 1"))  # fmt: skip
            blocking.commit()
            assert work.result() == []
    hashes = json.loads(path.read_text())["hashes"]
    assert set(first) < set(hashes)
    assert site.rows("select hashes from ops.erasures") == [(hashes,)]


def test_exports_that_ended_before_the_rows_or_events_were_erased_lose_their_files(
    site: Installation,
) -> None:
    store = FileStore(site.settings.effective_files_url)

    def export(kind: str, at: dt.datetime) -> None:
        """Adds a ready export, which began at an instant."""
        [number] = site.rows(
            "select 1 + count(*) from exports.requests where created_at <= :at", at=at
        )[0]
        path = f"exports/{kind}-{number}.csv"
        store.write(path, b"jane@example.org")
        site.execute(
            "insert into exports.requests (organization_id, kind, format, requested_by, state,"
            " expected_rows, file, size, created_at, started_at, expires_at)"
            " values (1, :kind, 'csv', 'command', 'ready', 1, :path, 1, :at, :at, :at)",
            kind=kind, path=path, at=at,
        )  # fmt: skip

    def states() -> list[tuple[object, ...]]:
        return site.rows("select kind, state, file is null from exports.requests order by id")

    # It began after the instant of the command, which waited for writers, and has the person.
    export("contacts", AT + dt.timedelta(seconds=20))
    export("campaign_stats", AT)
    erase(site.engine, site.settings, "acme", "jane")
    assert states() == [("contacts", "expired", True), ("campaign_stats", "ready", False)]
    assert not list(store.folder.glob("exports/contacts-*"))  # type: ignore[union-attr]
    export("contacts", AT + dt.timedelta(hours=1))
    export("events", AT + dt.timedelta(hours=1))
    run(site)
    assert states()[2:] == [("contacts", "ready", False), ("events", "expired", True)]


def test_the_command_erases_rows_and_names_the_store_that_is_to_be_done(site: Installation) -> None:
    done = call_here(
        "privacy", "erase", "--organization", "acme", "--contact", "jane",
        MARKETING_BACKUP_URL="nosuch://bucket",
    )  # fmt: skip
    assert done.returncode == 1
    assert "To be done: MARKETING_BACKUP_URL" in done.stdout
    assert site.rows(CONTACTS) == ANONYMOUS


def test_an_address_of_two_contacts_stays_with_the_other(
    site: Installation, tmp_path: Path
) -> None:
    load(site, tmp_path, external_id="jim", email="Jane@example.org")
    erase(site.engine, site.settings, "acme", "jane")
    assert site.rows(CONTACTS) == [*ANONYMOUS, ("jim", "Jane@example.org")]
    assert site.rows("select from delivery.suppressions") == []
    path = tmp_path / "again.jsonl"
    path.write_text(
        json.dumps({"organization_id": "acme", "external_id": "jim", "email": "jane@example.org"})
    )
    assert site.load("contacts", path).changed == 1


def test_the_command_counts_erases_and_prints_the_proof(site: Installation) -> None:
    arguments = ("privacy", "erase", "--organization", "acme", "--address", "JANE@example.org")
    dry = call_here(*arguments, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "1 contact would be erased, with these rows:" in dry.stdout
    assert "  crm.contacts: 1 (emptied)" in dry.stdout
    assert site.rows(CONTACTS)[0] == ("jane", "jane@example.org")
    done = call_here(*arguments)
    assert done.returncode == 0, done.stderr
    assert "  crm.contacts: 1 → 1 (emptied)" in done.stdout
    assert "jane" not in done.stdout.lower()
    assert site.rows(CONTACTS) == ANONYMOUS
    again = call_here(*arguments)
    assert (again.returncode, "has this address" in again.stderr) == (1, True)
    both = call_here(*arguments, "--contact", "jane")
    assert both.returncode == 2


def test_the_export_has_a_file_for_each_table_with_rows_of_the_contact(
    site: Installation, tmp_path: Path
) -> None:
    path = tmp_path / "jane.zip"
    done = call_here(
        "privacy", "export", "--organization", "acme", "--contact", "jane", "--output", str(path)
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(path) as written:
        [contact] = written.read("crm.contacts.jsonl").decode().splitlines()
        assert json.loads(contact)["email"] == "jane@example.org"
        assert "ben" not in "".join(written.read(name).decode() for name in written.namelist())
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_backup_url_that_cannot_be_used_stops_no_row_from_going(site: Installation) -> None:
    wrong = site.settings.model_copy(update={"backup_url": "gopher://backups"})
    with site.engine.connect() as connection:
        jane = persons.identity_of(connection, 1, [1])
    erasure_id = erasing.begin(site.engine, wrong, jane, now=AT)
    [problem] = erasing.work(site.engine, wrong, erasure_id, now=AT)
    assert "MARKETING_BACKUP_URL" in problem
    assert site.rows(CONTACTS) == ANONYMOUS
    assert f"To be done: {problem}" in erasing.proof_of(site.engine, erasure_id)


def test_proofs_are_listed_and_printed_again(site: Installation) -> None:
    erasure_id = erase(site.engine, site.settings, "acme", "jane")
    listed = call_here("privacy", "proof")
    assert f"{erasure_id}  acme" in " ".join(listed.stdout.split(" ")).replace("│", "")
    printed = call_here("privacy", "proof", str(erasure_id))
    assert printed.stdout.splitlines() == erasing.proof_of(site.engine, erasure_id)
    unknown = call_here("privacy", "proof", str(uuid.UUID(int=0)))
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "There is no erasure 00000000-0000-0000-0000-000000000000" in unknown.stderr


def test_an_erasure_that_cannot_be_done_again_stops_no_other(site: Installation) -> None:
    erase(site.engine, site.settings, "acme", "jane")
    files = FileStore(site.settings.effective_files_url)
    [(erasure_id,)] = site.rows("select id from ops.erasures")
    read = json.loads(files.read(f"erasures/{erasure_id}.json"))
    former = str(uuid.uuid4())
    early = {"id": former, "requested_at": "2020-01-01T00:00:00+00:00", "erasure_key": "unknown"}
    files.write(f"erasures/{former}.json", json.dumps(read | early).encode())
    files.write("erasures/damaged.json", b"[]")
    site.execute("delete from ops.erasures")
    site.execute("update crm.contacts set external_id = 'jane' where id = 1")
    done = apply_erasures(site.engine, site.settings, now=NIGHT)
    assert [str(one) for one in done.erased] == [str(erasure_id)]
    assert [sentence.split(":")[0] for sentence in done.failed] == [
        f"erasures/damaged.json at {files.url} is no file of an erasure",
        f"erasure {former}",
    ]
    assert site.rows(CONTACTS)[0] == ANONYMOUS[0]
