"""Old files go: logs, unfinished files, pages of insights, raw mail; everything else stays."""

import datetime as dt
import os
from pathlib import Path

import pytest

from marketing_pipelines import installation_settings, jobs_file
from marketing_pipelines.domains.upkeep.backups.databases import NOTE
from marketing_pipelines.domains.upkeep.backups.leftovers import left
from marketing_pipelines.domains.upkeep.backups.verifying import FOLDER
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines_tests.installation import Installation

JOB = "upkeep/old_files"
NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def write_at(path: Path, written_at: dt.datetime) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (written_at.timestamp(), written_at.timestamp()))
    return path


def removed(site: Installation) -> int:
    [outcome] = site.run(JOB, at=NOW)
    assert outcome.status == "COMPLETED", outcome.error
    return outcome.rows


def write_jobs(text: str) -> None:
    get_settings().jobs_file.write_text(text)
    jobs_file.document.cache_clear()


def test_files_go_after_their_days_and_no_others(emptied: Installation) -> None:
    data = emptied.settings.data_dir
    old, edge = NOW - 30 * DAY - dt.timedelta(seconds=1), NOW - 30 * DAY
    gone = [
        write_at(data / "logs" / "run" / "step.err", old),
        write_at(data / "reports" / "campaigns" / ".writing-abc", old),
        write_at(data / "files" / "mail" / "1" / "ab" / ".writing-def", old),
        write_at(data / "reports" / "insights" / "acme" / "2024-12-31.html", NOW - 401 * DAY),
    ]
    stay = [
        write_at(data / "logs" / "run" / "step.out", edge),
        write_at(data / "reports" / "insights" / "acme" / "index.html", NOW - 401 * DAY),
        write_at(data / "reports" / "insights" / "acme" / "2025-02-01.html", NOW - 399 * DAY),
        write_at(data / "reports" / "campaigns" / "acme.html", NOW - 500 * DAY),
        write_at(data / "files" / "mail" / "1" / "ab" / "abc.eml", NOW - 500 * DAY),
        write_at(data / "secret", NOW - 500 * DAY),
    ]
    write_jobs("[retention]\ndry_run = true\n")
    assert removed(emptied) == 0
    assert all(path.exists() for path in gone)
    write_jobs("")
    assert removed(emptied) == len(gone)
    assert [path for path in gone if path.exists()] == []
    assert [path for path in stay if not path.exists()] == []
    assert removed(emptied) == 0


def test_raw_mail_goes_when_the_mailbox_that_keeps_it_longest_lets_it_go(
    emptied: Installation,
) -> None:
    files = FileStore(emptied.settings.effective_files_url)
    emptied.execute(
        "insert into crm.organizations (external_id, name, timezone) values ('acme', 'A', 'UTC')"
    )
    for name, keep in (("short", "30"), ("long", "90"), ("ever", "0"), ("default", "null")):
        emptied.execute(
            "insert into integrations.connections (organization_id, provider, external_id,"
            " settings, state, changed_at) select id, 'imap', :name, jsonb_strip_nulls("
            "jsonb_build_object('keep_raw_days', cast(:keep as jsonb))), 'ok', :now"
            " from crm.organizations",
            name=name, keep=keep, now=NOW,
        )  # fmt: skip
    cases = {
        # Age in days and mailboxes of each mail.
        "a": (31, ["short"]),
        "b": (29, ["short"]),
        "c": (31, ["short", "long"]),
        "d": (91, ["short", "long"]),
        "e": (5000, ["short", "ever"]),
        "f": (366, ["default"]),
        "g": (364, ["default"]),
        "h": (366, []),
        "i": (5000, []),
    }
    for name, (age, mailboxes) in cases.items():
        files.write(f"mail/{name}.eml", b"raw")
        emptied.execute(
            "insert into inbox.email_messages (organization_id, identity, received_at, raw_path,"
            " share) select id, :name, :at, :path, 'full' from crm.organizations",
            name=name, at=NOW - age * DAY, path=f"mail/{name}.eml",
        )  # fmt: skip
        emptied.execute(
            "insert into inbox.message_places (connection_id, folder, uidvalidity, uid, message_id)"
            " select connection.id, 'INBOX', 1, mail.id, mail.id"
            " from integrations.connections as connection, inbox.email_messages as mail"
            " where connection.external_id = any(:mailboxes) and mail.identity = :name",
            mailboxes=mailboxes, name=name,
        )  # fmt: skip
    # Mail without a place is kept as long as by the mailbox of the organization that keeps most.
    assert removed(emptied) == 3
    emptied.execute("delete from integrations.connections where external_id = 'ever'")
    assert removed(emptied) == 3
    kept = emptied.rows(
        "select identity from inbox.email_messages where raw_path is not null order by 1"
    )
    assert [name for (name,) in kept] == ["b", "c", "g"]
    for name in cases:
        if (name,) in kept:
            assert files.read(f"mail/{name}.eml") == b"raw"
        else:
            with pytest.raises(FileNotFoundError):
                files.read(f"mail/{name}.eml")
    assert removed(emptied) == 0


@pytest.mark.parametrize("days", [1, 60])
def test_pages_that_are_written_again_cannot_be_removed(emptied: Installation, days: int) -> None:
    write_jobs(f"[reports]\nkeep_days = {days}\n")
    with pytest.raises(ConfigurationError, match=r"line 2 .* 0 \(for ever\) or more than 60"):
        installation_settings.validate()
    write_jobs("")


def test_a_file_that_cannot_be_removed_stops_no_other(emptied: Installation) -> None:
    files = FileStore(emptied.settings.effective_files_url)
    emptied.execute(
        "insert into crm.organizations (external_id, name, timezone) values ('acme', 'A', 'UTC')"
    )
    for name in ("a", "b"):
        files.write(f"mail/{name}.eml", b"raw")
        emptied.execute(
            "insert into inbox.email_messages (organization_id, identity, received_at, raw_path,"
            " share) select id, :name, :at, :path, 'full' from crm.organizations",
            name=name, at=NOW - 500 * DAY, path=f"mail/{name}.eml",
        )  # fmt: skip
    folder = files.folder
    assert folder is not None
    (folder / "mail" / "a.eml").unlink()
    (folder / "mail" / "a.eml").mkdir()
    assert removed(emptied) == 1
    left = emptied.rows("select identity from inbox.email_messages where raw_path is not null")
    assert left == [("a",)]


def test_what_killed_verifications_and_restores_left_goes_after_a_day(
    emptied: Installation,
) -> None:
    folder, database = emptied.settings.data_dir / FOLDER, emptied.engine.url.database
    write_at(folder / "postgres" / "PG_VERSION", NOW)
    old = (NOW - DAY - dt.timedelta(seconds=1)).timestamp()
    os.utime(folder, (old, old))
    server = emptied.engine.execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        for name, age in ((f"{database}_restoring", 2 * DAY), (f"{database}_replaced", DAY)):
            connection.exec_driver_sql(f"create database {name} template template0")
            connection.exec_driver_sql(
                f"comment on database {name} is '{NOTE}{(NOW - age).isoformat()}'"
            )
    found = left(emptied.settings)
    assert list(found) == [
        f"folder {folder}",
        f"database {database}_replaced",
        f"database {database}_restoring",
    ]
    assert found[f"database {database}_restoring"] == NOW - 2 * DAY
    assert removed(emptied) == 2
    assert list(left(emptied.settings)) == [f"database {database}_replaced"]
    with server.connect() as connection:
        # One without our note is of somebody else.
        connection.exec_driver_sql(f"comment on database {database}_replaced is 'mine'")
        assert left(emptied.settings) == {}
        connection.exec_driver_sql(f"drop database {database}_replaced")
