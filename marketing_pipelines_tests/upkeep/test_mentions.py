"""The names of an erased person go from free texts, and nothing that only looks like them."""

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.crm.names import find_contact
from marketing_pipelines.domains.upkeep.erasing.files import remove_files
from marketing_pipelines.stores import persons
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.upkeep.erased import AT, erase


@pytest.fixture
def site(emptied: Installation, tmp_path: Path) -> Installation:
    """Two organizations, acme with the contact 123456 and the other without contacts."""
    emptied.execute("update ops.installation set erasure_key = null")
    for name in ("acme", "other"):
        emptied.execute(
            "insert into crm.organizations (external_id, timezone) values (:name, 'UTC')"
            " on conflict do nothing",
            name=name,
        )
    return emptied


def contact(site: Installation, folder: Path, **row: Any) -> None:
    path = folder / "contacts.jsonl"
    path.write_text(json.dumps({"organization_id": "acme"} | row))
    assert site.load("contacts", path, restore_consent=True).rejected == 0


def number(site: Installation, name: str) -> int:
    [(found,)] = site.rows("select id from crm.organizations where external_id = :name", name=name)
    return int(found)


def inserted(site: Installation, statement: str, **given: Any) -> int:
    """The number of the row that a statement adds."""
    with site.engine.begin() as connection:
        return int(connection.execute(sa.text(statement), given).scalar_one())


def add_mail(site: Installation, organization: int, variables: dict[str, Any]) -> int:
    """A mail to user 7."""
    return inserted(
        site,
        "with content as (insert into delivery.contents (organization_id, digest, content, used_at)"
        " values (:organization, gen_random_uuid()::text, '{}', :at) returning id)"
        " insert into delivery.messages"
        " (organization_id, channel, user_id, kind, content_id, due_at, queued_at, variables)"
        " select :organization, 'email', 7, 'transactional', id, :at, :at,"
        " cast(:variables as jsonb) from content returning id",
        organization=organization,
        at=AT,
        variables=json.dumps(variables),
    )


def add_task(site: Installation, args: dict[str, Any], lock: str = "") -> int:
    return inserted(
        site,
        "insert into procrastinate_jobs (queue_name, task_name, args, lock)"
        " values ('trials', 'trial', cast(:args as jsonb), :lock) returning id",
        args=json.dumps(args),
        lock=lock,
    )


def args_of(site: Installation, task: int) -> Any:
    [(found,)] = site.rows("select args from procrastinate_jobs where id = :task", task=task)
    return found


def lock_of(site: Installation, task: int) -> Any:
    [(found,)] = site.rows("select lock from procrastinate_jobs where id = :task", task=task)
    return found


def test_an_id_of_digits_goes_from_texts_and_no_number_changes(
    site: Installation, tmp_path: Path
) -> None:
    contact(site, tmp_path, external_id="123456")
    own = number(site, "acme")
    args = {"organization_id": own, "message_id": 123456, "contacts": ["123456", 123456]}
    task = add_task(site, args, lock='trial[123456, "123456"]')
    erase(site.engine, site.settings, "acme", "123456")
    assert args_of(site, task) == args | {"contacts": ["erased", 123456]}
    assert lock_of(site, task) == 'trial[123456, "erased"]'


def test_an_id_that_is_a_word_changes_no_key_and_no_other_organization(
    site: Installation, tmp_path: Path
) -> None:
    contact(site, tmp_path, external_id="organization_id", email="jane@example.org")
    of_other = {
        "organization_id": number(site, "other"),
        "told": "organization_id jane@example.org",
    }
    of_nobody = {"told": "organization_id"}
    of_own = {"organization_id": number(site, "acme"), "told": "organization_id is away"}
    named = {"told": {"jane@example.org": "organization_id of jane@example.org"}}
    tasks = [add_task(site, args) for args in (of_other, of_nobody, of_own, named)]
    site.execute(
        "insert into delivery.requests (organization_id, idempotency_key, body_digest, created_at)"
        " select id, external_id || '/organization_id/jane@example.org', '', now()"
        " from crm.organizations"
    )
    erase(site.engine, site.settings, "acme", "organization_id")
    assert [args_of(site, task) for task in tasks] == [
        of_other,
        of_nobody,
        of_own | {"told": "erased is away"},
        {"told": {"erased": "erased of erased"}},
    ]
    keys = site.rows(
        "select idempotency_key like '%jane%' from delivery.requests where organization_id = :own",
        own=number(site, "acme"),
    )
    assert keys == [(False,)]
    assert site.rows(
        "select idempotency_key from delivery.requests where organization_id = :other",
        other=number(site, "other"),
    ) == [("other/organization_id/jane@example.org",)]


def test_files_of_other_organizations_stay(site: Installation, tmp_path: Path) -> None:
    contact(site, tmp_path, external_id="campaign", email="jane@example.org")
    settings = site.settings
    reports = [
        Path(settings.reports_url) / "insights" / name / "a.html" for name in ("acme", "other")
    ]
    messages = [add_mail(site, number(site, name), {}) for name in ("acme", "other")]
    mails = [settings.outbox_folder / "email" / "2026-03-01" / f"{id_}.eml" for id_ in messages]
    lifts = [
        settings.data_dir / "suppressions" / f"lift-{name}-a.csv" for name in ("acme", "other")
    ]
    log = settings.data_dir / "logs" / "trial.log"
    for path in (*reports, *mails, *lifts, log):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("campaign of jane@example.org\n")
    for path, name in zip(lifts, ("acme", "other"), strict=True):
        path.write_text(f"{name},jane@example.org,email,hard_bounce,lift\n")
    log.write_text("a campaign ended\nmail to jane@example.org\n")
    erase(site.engine, settings, "acme", "campaign")
    assert [path.exists() for path in (*reports, *mails)] == [False, True, False, True]
    assert [bool(path.read_text()) for path in lifts] == [False, True]
    assert log.read_text() == "a campaign ended\n"


def test_files_and_rows_lose_addresses_in_any_case_beyond_ascii(
    site: Installation, tmp_path: Path
) -> None:
    contact(site, tmp_path, external_id="ünal-çelik", email="jürgen@exämple.org")
    log = site.settings.data_dir / "logs" / "trial.log"
    report = Path(site.settings.reports_url) / "insights" / "acme" / "b.html"
    lines = ["to JÜRGEN@EXÄMPLE.ORG", json.dumps("to Jürgen@Exämple.org"), "to jörgen@exämple.org"]
    for path, text in ((log, "\n".join(lines)), (report, "ÜNAL-ÇELIK")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    told = "of ÜNAL-ÇELIK, Jürgen@EXÄMPLE.org"
    task = add_task(site, {"organization_id": number(site, "acme"), "told": told})
    erase(site.engine, site.settings, "acme", "ünal-çelik")
    assert log.read_text() == lines[2]
    assert not report.exists()
    assert args_of(site, task)["told"] == "of erased, erased"


def test_reports_that_were_copied_to_the_store_of_files_go_from_the_data_folder_too(
    site: Installation, tmp_path: Path
) -> None:
    contact(site, tmp_path, external_id="jane-4711", email="jane@example.org")
    settings = site.settings.model_copy(update={"files_url": str(tmp_path / "store")})
    for folder in (settings.data_dir, tmp_path / "store"):
        path = folder / "reports" / "insights" / "acme" / "c.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("jane-4711")
    with site.engine.connect() as connection:
        organization, number = find_contact(connection, "jane-4711", "acme")
        person = persons.identity_of(connection, organization, [number])
    assert remove_files(site.engine, settings, person)["reports"] == 2
    assert [*settings.data_dir.rglob("c.html"), *(tmp_path / "store").rglob("c.html")] == []


def test_a_mail_to_a_user_loses_what_its_notification_said_of_the_person(
    site: Installation, tmp_path: Path
) -> None:
    contact(site, tmp_path, external_id="jane", email="jane@example.org", first_name="Jane")
    own = number(site, "acme")
    [(jane,)] = site.rows("select id from crm.contacts")
    for subject, contact_id, title in (
        ("1", jane, "Jane (sales) waits?"),
        ("2", None, "Ben waits"),
    ):
        site.execute(
            "insert into crm.notifications (organization_id, user_id, contact_id, kind, title,"
            " text, job, subject, period, created_at, mailed_at)"
            " values (:own, 7, :contact, 'trial', :title, 'Call.', 'a/b', :subject, '', :at, :at)",
            own=own, contact=contact_id, title=title, subject=subject, at=AT,
        )  # fmt: skip
    items = [{"title": "Jane (sales) waits?", "text": "Call"}, {"title": "Ben waits", "text": "Go"}]
    for variables in (
        {"title": "2 notifications", "text": "", "items": items},
        {"title": "Meeting with jane@example.org", "text": "At noon."},
    ):
        add_mail(site, own, variables)
    erase(site.engine, site.settings, "acme", "jane")
    assert site.rows("select variables from delivery.messages order by id") == [
        (
            {
                "title": "2 notifications",
                "text": "",
                "items": [
                    {"title": "erased", "text": "Call"},
                    {"title": "Ben waits", "text": "Go"},
                ],
            },
        ),
        ({"title": "Meeting with erased", "text": "At noon."},),
    ]
