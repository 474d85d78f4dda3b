"""An installation worth backing up, and an empty one on another data folder."""

import contextlib
import datetime as dt
import hashlib
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.upkeep.backups.fingerprints import fingerprints
from marketing_pipelines.domains.upkeep.backups.taking import Taken, take_backup
from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.backups import BackupStore, TableContent
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.postgres import create_engine, dagster_database_url, database_url
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.programs import Programs

NOW = instant("2026-03-05T12:00Z")
# The tables that a restore changes.
STOPPED = {
    # Days of campaigns whose status changed.
    "analytics.stale_partitions",
    "ops.queue_states",
    "ops.schema_files",
    "delivery.messages",
    "campaigns.campaigns",
    "journey.journeys",
}
HOURS = ("2026-03-02-10:00", "2026-03-02-11:00")
# Words of the page that are another in each installation.
PAGE_WORDS = {"backup": "20261130T040000Z", "store": "/mnt/backups", "folder": "/srv/drill"}
BUCKET = "backups-bucket"
URL = f"s3://{BUCKET}/kept"
MAIL = b"Subject: hello\r\n\r\nraw"
MAIL_PATH = f"mail/1/{hashlib.sha256(MAIL).hexdigest()}.eml"


def quiet(_line: str) -> None:
    """Takes lines of progress and prints none."""


@dataclass
class World:
    """The installation that is backed up, and the store of its backups."""

    site: Installation
    settings: Settings
    programs: Programs
    content: int

    @classmethod
    def furnish(cls, site: Installation, folder: Path) -> "World":
        """Gives an installation contacts, programs, messages, two hours of the lake and files."""
        settings = site.settings.model_copy(update={"backup_url": str(folder / "backups")})
        programs = Programs(site)
        for number in range(20):
            programs.contact(f"c{number}", email=f"c{number}@example.org")
        campaign = programs.program("campaign", "spring-sale")
        programs.program("campaign", "planned", "scheduled", started_at=NOW)
        programs.program("campaign", "later", "scheduled", started_at=instant("2099-01-01T00:00Z"))
        programs.program("journey", "welcome back")
        programs.program("sequence", "asleep", status="paused")
        programs.enrol("campaign", campaign, "c1", next_step_at=NOW)
        (folder / "loads").mkdir()
        rows = [
            {
                "event_id": f"e{number}",
                "contact_id": f"c{number % 20}",
                "occurred_at": f"2026-03-02T1{number % 2}:{number % 60:02}:00Z",
                "received_at": "2026-03-02T12:00:00Z",
                "event_type": "opened",
            }
            for number in range(40)
        ]
        site.load_events(folder / "loads", rows)
        site.run("analytics/contact_activity", *HOURS)
        content = cls._new_content(site, programs.organization)
        files = FileStore(settings.effective_files_url)
        files.write(MAIL_PATH, MAIL)
        site.execute(
            "insert into inbox.email_messages (organization_id, identity, received_at, raw_path,"
            " share) values (:organization, 'mail', :now, :path, 'full')",
            organization=programs.organization, now=NOW, path=MAIL_PATH,
        )  # fmt: skip
        report = Path(settings.reports_url) / "campaigns" / "acme.html"
        report.parent.mkdir(parents=True)
        report.write_text("<p>report</p>")
        return cls(site, settings, programs, content)

    @staticmethod
    def _new_content(site: Installation, organization: int) -> int:
        with site.engine.begin() as connection:
            statement = sa.text(
                "insert into delivery.contents (organization_id, digest, content)"
                " values (:organization, 'd', '{}') returning id"
            )
            values = {"organization": organization}
            return int(connection.execute(statement, values).scalar_one())

    def message(self, contact: str, state: str) -> int:
        """Writes a message in a state; returns its number."""
        with self.site.engine.begin() as connection:
            statement = sa.text(
                "insert into delivery.messages (organization_id, channel, contact_id, content_id,"
                " state, queued_at, due_at, leased_until) values (:organization, 'email',"
                " :contact, :content, :state, :now, :now,"
                " case when :state = 'claimed' then cast(:now as timestamptz) end) returning id"
            )
            values = {
                "organization": self.programs.organization,
                "contact": self.programs.contact(contact),
                "content": self.content,
                "state": state,
                "now": NOW,
            }
            return int(connection.execute(statement, values).scalar_one())

    @property
    def store(self) -> BackupStore:
        """The store of the backups."""
        return BackupStore.of(self.settings)

    def take(self, at: dt.datetime = NOW) -> Taken:
        """Takes a backup."""
        return take_backup(create_engine(self.site.engine.url), self.settings, at, say=quiet)

    def contents(self) -> dict[str, dict[str, TableContent]]:
        """The content of every table of both databases."""
        return contents_of(self.settings)


class Bucket:
    """A world whose backups lie in a bucket, and the client of the bucket."""

    def __init__(self, world: World, client: Any) -> None:
        self.world = world
        self.client = client

    def keys(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET)["Contents"]
        return sorted(one["Key"].removeprefix("kept/") for one in found)

    def put(self, path: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=f"kept/{path}", Body=content)

    def remove(self, path: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=f"kept/{path}")


def blocks_of_page() -> list[list[str]]:
    """The commands of `docs/backup.md`, the lines of each block."""
    page = PACKAGE.parent / "docs" / "backup.md"
    found = re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    return [block.splitlines() for block in found]


def perform(lines: Sequence[str], patch: pytest.MonkeyPatch, **words: str) -> list[str]:
    """Runs commands of the page as a shell does, in this process; returns what each prints.

    Args:
        patch: Keeps the variables that they set.
        words: Words of the page with those that stand for them here.
    """
    printed = []
    for line in lines:
        for word, own in words.items():
            line = line.replace(PAGE_WORDS[word], own)
        match shlex.split(line):
            case ["export", assignment]:
                patch.setenv(*assignment.split("=", 1))
            case ["unset", *names]:
                for name in names:
                    patch.delenv(name, raising=False)
            case ["marketing-pipelines", *arguments]:
                done = call_here(*arguments)
                assert done.returncode == 0, (line, done.stdout, done.stderr)
                printed.append(done.stdout)
            case _:
                raise AssertionError(line)
    return printed


def contents_of(settings: Settings) -> dict[str, dict[str, TableContent]]:
    """The content of every table of both databases of an installation."""
    found = {}
    for name, url in (
        ("marketing", database_url(settings)),
        ("dagster", dagster_database_url(settings).set(drivername="postgresql+psycopg")),
    ):
        with create_engine(url).connect() as connection:
            found[name] = fingerprints(connection)
    return found


def files_below(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextlib.contextmanager
def empty_installation(folder: Path, **values: Any) -> Iterator[Settings]:
    """Settings of an installation on another data folder, whose embedded server runs."""
    settings = Settings(
        data_dir=folder / "data", database_url=None, dagster_database_url=None, **values
    )
    embedded = EmbeddedPostgres.of(settings)
    with embedded.using():
        with psycopg.connect(embedded.url("postgres"), autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes"):
                connection.execute(f"alter system set {setting} = off")
            connection.execute("select pg_reload_conf()")
        yield settings
    home = embedded.pgdata.parent
    if home.parent.name == "marketing-pipelines":
        shutil.rmtree(home, ignore_errors=True)
