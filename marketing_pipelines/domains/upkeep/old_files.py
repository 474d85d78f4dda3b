"""Files that are no longer kept: logs, reports, unfinished files, exports, raw mail, leftovers."""

import contextlib
import datetime as dt
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import sqlalchemy as sa

from marketing_pipelines import installation_settings
from marketing_pipelines.domains.exports.standing import remove_expired, remove_unnamed
from marketing_pipelines.domains.rehearsals.scratch import drop_left
from marketing_pipelines.domains.upkeep.backups.leftovers import remove_left
from marketing_pipelines.failures import StoreUnavailableError
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.files import TEMPORARY_PREFIX, FileStore
from marketing_pipelines.stores.postgres import Begin

LOG_DAYS = 30
# Folders of reports that have a file for each day.
PAGES = ("insights", "daily")
# `{kind}/{organization}/{day}.html`
DAY = re.compile(r".+/(?P<date>\d{4}-\d{2}-\d{2})\.(?:html|png)")
MAIL_BATCH = 500
SHARE_OF_TIME = 0.8
LONG_AGO = dt.datetime(1, 1, 2, tzinfo=dt.UTC)


@dataclass(frozen=True)
class OldFiles:
    """Files of one kind that go after some days.

    Attributes:
        pattern: Their names below the folder, as `Path.rglob` takes it.
    """

    name: str
    folder: Path
    pattern: str
    days: int

    def paths(self, instant: dt.datetime) -> Iterator[Path]:
        """The files that were last written so many days before an instant."""
        before = (instant - dt.timedelta(days=self.days)).timestamp()
        for path in sorted(self.folder.rglob(self.pattern)):
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and status.st_mtime < before:
                    yield path


def kinds_of(settings: Settings) -> list[OldFiles]:
    """The kinds of files in folders of this machine; other files stay."""
    unfinished = f"{TEMPORARY_PREFIX}*"
    found = [
        OldFiles("logs of runs", settings.data_dir / "logs", "*", LOG_DAYS),
    ]
    for name, store in (
        ("unfinished reports", FileStore.of_reports(settings)),
        ("unfinished files", FileStore(settings.effective_files_url)),
    ):
        if store.folder is not None:
            found.append(OldFiles(name, store.folder, unfinished, LOG_DAYS))
    return found


def clean_up(tick: Tick, *, dry_run: bool) -> None:
    """Removes, or only counts, the old files of every kind, and removes old raw mail."""
    remove_files(tick, dry_run=dry_run)
    try:
        left = remove_left(tick.settings, tick.instant, dry_run=dry_run)
    except StoreUnavailableError as problem:
        tick.metadata["not_removed"] = str(problem)
    else:
        tick.metadata["left by verifications and restores"] = len(left)
        tick.rows += 0 if dry_run else len(left)
    if dry_run:
        return
    tick.metadata["databases of killed rehearsals"] = len(drop_left(tick.settings))
    removed = remove_raw_mail(
        lambda: tick.begin(isolation="read committed"),
        FileStore(tick.settings.effective_files_url),
        tick.instant,
        ends_at=tick.started + SHARE_OF_TIME * tick.timeout.total_seconds(),
    )
    exported = remove_expired(
        lambda: tick.begin(isolation="read committed"),
        FileStore(tick.settings.effective_files_url),
        tick.instant,
        ends_at=tick.started + SHARE_OF_TIME * tick.timeout.total_seconds(),
    )
    unnamed = remove_unnamed(
        lambda: tick.begin(isolation="read committed"),
        FileStore(tick.settings.effective_files_url),
        ends_at=tick.started + SHARE_OF_TIME * tick.timeout.total_seconds(),
    )
    tick.rows += exported.files + unnamed.files
    tick.metadata |= {
        "files of exports": exported.files + unnamed.files,
        "files of exports that stayed": exported.failed + unnamed.failed,
    }
    for error in (exported.error, unnamed.error):
        if error is not None:
            tick.metadata["not_removed"] = error
    tick.rows += removed.mails
    tick.metadata |= {"raw mail": removed.mails, "raw mail that stayed": removed.failed}
    if removed.error is not None:
        tick.metadata["not_removed"] = removed.error


def remove_files(tick: Tick, *, dry_run: bool) -> None:
    """Removes, or only counts, old files; one that cannot be removed stops no other."""
    for kind in kinds_of(tick.settings):
        number = 0
        for path in kind.paths(tick.instant):
            try:
                if not dry_run:
                    path.unlink(missing_ok=True)
            except OSError as error:
                tick.metadata["not_removed"] = f"{path}: {error.strerror}"
                continue
            number += 1
        tick.metadata[kind.name] = number
        tick.rows += 0 if dry_run else number
    pages = old_pages(tick.settings, tick.date)
    files = FileStore.of_reports(tick.settings)
    for page in () if dry_run else pages:
        files.remove(page)
    tick.metadata["pages of days"] = len(pages)
    tick.rows += 0 if dry_run else len(pages)


def old_pages(settings: Settings, date: dt.date) -> list[str]:
    """The insights and daily reports of days that are no longer kept on a date."""
    days = installation_settings.reports().keep_days
    if not days:
        return []
    first = (date - dt.timedelta(days=days)).isoformat()
    files = FileStore.of_reports(settings)
    paths = [file.path for kind in PAGES for file in files.files(kind)]
    return [path for path in paths if (day := DAY.fullmatch(path)) and day["date"] < first]


@dataclass(frozen=True)
class RemovedMail:
    """The result of one removal of raw mail; `error` is the last of the files that stayed."""

    mails: int
    failed: int
    error: str | None


def remove_raw_mail(
    begin: Begin, files: FileStore, instant: dt.datetime, *, ends_at: float
) -> RemovedMail:
    """Removes raw mail that every mailbox with it has kept for its days; the rows stay.

    A file goes before its row forgets it, outside any transaction: a process that is killed in
    between leaves a row whose file is gone, and the next tick forgets it.

    Args:
        begin: Opens a transaction at read committed; each batch has two of its own.
        ends_at: Monotonic time after which no further batch begins.
    """
    mails = failed = 0
    error: str | None = None
    statement = sa.text((resources.files(__package__) / "sql" / "old_raw_mail.sql").read_text())
    after, after_id = LONG_AGO, 0
    while time.monotonic() < ends_at:
        with begin() as connection:
            found = connection.execute(
                statement,
                {
                    "instant": instant,
                    "after": after,
                    "after_id": after_id,
                    "batch": MAIL_BATCH,
                },
            ).all()
        gone = []
        for row in found:
            try:
                files.remove(row.raw_path)
                gone.append(row.id)
            except StoreUnavailableError as problem:
                failed += 1
                error = str(problem)
        if gone:
            with begin() as connection:
                connection.execute(_FORGET, {"ids": gone})
        mails += len(gone)
        if len(found) < MAIL_BATCH:
            break
        after, after_id = found[-1].received_at, found[-1].id
    return RemovedMail(mails, failed, error)


_FORGET = sa.text("update inbox.email_messages set raw_path = null where id = any(:ids)")
