"""Files that are no longer kept: logs of runs, pages of insights, unfinished files, raw mail."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from marketing_pipelines import installation_settings
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.files import TEMPORARY_PREFIX, FileStore
from marketing_pipelines.stores.postgres import Begin

LOG_DAYS = 30
MAIL_BATCH = 500


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
            if path.is_file() and not path.is_symlink() and path.stat().st_mtime < before:
                yield path


def kinds_of(settings: Settings) -> list[OldFiles]:
    """The kinds of files in the data folder; others stay."""
    found = [
        OldFiles("logs of runs", settings.data_dir / "logs", "*", LOG_DAYS),
        OldFiles("unfinished files", settings.reports_folder, f"{TEMPORARY_PREFIX}*", LOG_DAYS),
        OldFiles(
            "unfinished files of people",
            settings.data_dir / "files",
            f"{TEMPORARY_PREFIX}*",
            LOG_DAYS,
        ),
    ]
    days = installation_settings.reports().keep_days
    if days:
        pages = settings.reports_folder / "insights"
        found.append(OldFiles("pages of insights", pages, "*-*-*.html", days))
    return found


def remove_files(tick: Tick, *, dry_run: bool) -> None:
    """Removes, or only counts, old files in the data folder."""
    for kind in kinds_of(tick.settings):
        number = 0
        for path in kind.paths(tick.instant):
            if not dry_run:
                path.unlink(missing_ok=True)
            number += 1
        tick.metadata[kind.name] = number
        tick.rows += 0 if dry_run else number


def remove_raw_mail(begin: Begin, files: FileStore, instant: dt.datetime) -> int:
    """Removes raw mail that every mailbox with it has kept for its days; the rows stay.

    A file goes before its row forgets it: a process that is killed in between leaves a row whose
    file is gone, and the next tick forgets it.

    Args:
        begin: Opens a transaction at read committed; each batch has one of its own.

    Returns:
        Number of mails.
    """
    total = 0
    while True:
        with begin() as connection:
            found = connection.execute(
                _OLD_RAW_MAIL, {"instant": instant, "batch": MAIL_BATCH}
            ).all()
            for row in found:
                files.remove(row.raw_path)
            if found:
                connection.execute(_FORGET, {"ids": [row.id for row in found]})
        total += len(found)
        if len(found) < MAIL_BATCH:
            return total


_OLD_RAW_MAIL = sa.text("""
    select mail.id, mail.raw_path
    from inbox.email_messages as mail
    cross join lateral (
        select max(coalesce((connection.settings ->> 'keep_raw_days')::integer, 365)) as most,
               min(coalesce((connection.settings ->> 'keep_raw_days')::integer, 365)) as least
        from inbox.message_places as place
        join integrations.connections as connection on connection.id = place.connection_id
        where place.message_id = mail.id
    ) as kept
    where mail.raw_path is not null
        and kept.least is distinct from 0
        and mail.received_at < :instant - make_interval(days => coalesce(kept.most, 365))
    order by mail.received_at
    limit :batch
    for update of mail skip locked
""")
_FORGET = sa.text("update inbox.email_messages set raw_path = null where id = any(:ids)")
