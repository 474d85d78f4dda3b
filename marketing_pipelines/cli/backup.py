"""`backup …`: backups taken, listed, verified and restored."""

import datetime as dt
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from marketing_pipelines.cli.output import iso, print_table
from marketing_pipelines.cli.session import connected, server_running
from marketing_pipelines.failures import BadInputError, StoreUnavailableError
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines.stores.private import make_private

if TYPE_CHECKING:
    from marketing_pipelines.domains.upkeep.backups.restoring import Restored

app = typer.Typer(no_args_is_help=True)
BackupArgument = Annotated[str, typer.Argument(metavar="ID", help="As `backup list` names it.")]
MAX_COMMANDS = 20


@app.command()
def now() -> None:
    """Take a backup, and remove those that are no longer kept."""
    from marketing_pipelines.domains.upkeep.backups.taking import backup_lock, take_backup

    with connected() as (settings, engine), backup_lock(engine) as is_free:
        if not is_free:
            raise StoreUnavailableError("A backup of this database is being taken: wait for it.")
        taken = take_backup(engine, settings, dt.datetime.now(dt.UTC), say=_say)
    print_table(["what", "number"], list(taken.numbers.items()))
    for backup_id in taken.removed.damaged:
        print(
            f"Backup {backup_id} is damaged: remove its folder at {settings.backup_url}; no unused "
            "object is removed before."
        )
    print(f"Backup {taken.backup.id} is whole.")
    print(_of_secret_key(settings))


@app.command("list")
def list_() -> None:
    """Print the backups, newest first, with the day on which each is removed."""
    from marketing_pipelines.stores.backups import BackupStore, kept_backups

    settings = get_settings()
    store = BackupStore.of(settings)
    kept = {one.id: one for one in kept_backups(settings, dt.datetime.now(dt.UTC))}
    rows: list[list[object]] = []
    for backup_id, is_whole in reversed(store.ids().items()):
        if not is_whole:
            rows.append([backup_id, None, None, None, None, None, "unfinished"])
        elif kept[backup_id].is_damaged:
            expires_at = kept[backup_id].expires_at
            rows.append([backup_id, None, None, None, None, expires_at, "damaged"])
        else:
            backup = store.read(backup_id)
            rows.append(
                [
                    backup_id,
                    backup.taken_at,
                    backup.release,
                    f"{backup.size / 1e6:,.1f}",
                    backup.file_count,
                    kept[backup_id].expires_at,
                    "whole",
                ]
            )
    print_table(["id", "taken at", "release", "MB", "files", "removed on", "state"], rows)


@app.command()
def restore(
    backup_id: BackupArgument,
    replace: Annotated[
        bool, typer.Option(help="Lose what the databases, the lake and the files hold.")
    ] = False,
    lost_key: Annotated[
        bool, typer.Option(help="Give up secrets that no secret key at hand opens.")
    ] = False,
) -> None:
    """Restore a backup into this installation; everything that it would send is held."""
    from marketing_pipelines.domains.upkeep.backups.restoring import restore as restore_backup

    settings = get_settings()
    make_private(settings.data_dir)
    at = dt.datetime.now(dt.UTC)
    with server_running(settings):
        restored = restore_backup(
            settings, backup_id, replace=replace, lost_key=lost_key, now=at, say=_say
        )
    _print_restored(restored, settings)
    if restored.failed:
        raise BadInputError(
            f"{_persons(len(restored.failed))} erased since the backup and not again, so the "
            "database stays closed: remove the reasons above, then run `marketing-pipelines backup "
            f"restore {backup_id}` again."
        )


@app.command()
def verify(
    backup_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="As `backup list` names it; the newest.")
    ] = None,
) -> None:
    """Restore a backup into a temporary server and compare all rows and files; exit 1 if not."""
    from marketing_pipelines.domains.upkeep.backups.verifying import verify as verify_backup
    from marketing_pipelines.stores.backups import BackupStore

    settings = get_settings()
    make_private(settings.data_dir)
    if backup_id is None:
        latest = BackupStore.of(settings).latest()
        if latest is None:
            raise BadInputError(f"There is no whole backup at {settings.backup_url}: take one.")
        backup_id = latest.id
    done = verify_backup(settings, backup_id, now=dt.datetime.now(dt.UTC), say=_say)
    for problem in done.problems:
        print(problem)
    print(f"{done.tables:,} tables with {done.rows:,} rows and {done.files:,} files are compared.")
    if done.problems:
        raise BadInputError(
            f"Backup {backup_id} has {len(done.problems):,} problems: take a new one, and look at "
            "the disk or bucket behind MARKETING_BACKUP_URL."
        )
    if done.erased:
        print(f"{_persons(done.erased)} erased since: a restore erases them again.")
    print(f"Backup {backup_id} can be restored.")


def _print_restored(restored: "Restored", settings: Settings) -> None:
    backup = restored.backup
    print(
        f"Backup {backup.id} of {iso(backup.taken_at)} is restored: "
        f"{restored.placed.count:,} files, schema of this release."
    )
    for path in restored.placed.damaged[:MAX_COMMANDS]:
        print(f"Missing or damaged in the backup: {path}.")
    if restored.erased:
        print(
            f"{_persons(restored.erased)} erased since the backup: their rows are erased again, "
            "their events at the next `upkeep/erasures`."
        )
    for sentence in restored.waiting:
        print(f"{sentence} `upkeep/erasures` tries again.")
    for sentence in restored.failed:
        print(f"Not erased: {sentence}")
    for hour, reason in list(restored.stale_hours.items())[:MAX_COMMANDS]:
        print(f"The hour {hour:%Y-%m-%d-%H}:00 of the lake is exported anew: {reason}.")
    print("\nHeld until you release it:")
    for held in restored.held:
        print(f"- {held.sentence}")
        for command in held.commands[:MAX_COMMANDS]:
            print(f"    {command}")
        if held.commands[MAX_COMMANDS:]:
            print(f"    … {len(held.commands) - MAX_COMMANDS:,} more")
    print(f"\nAll of it stands in {restored.held_file}.")
    print(_of_secret_key(settings))


def _persons(number: int) -> str:
    return "1 person was" if number == 1 else f"{number:,} persons were"


def _of_secret_key(settings: Settings) -> str:
    where = (
        "the value of MARKETING_SECRET_KEY"
        if settings.secret_key is not None
        else f"{settings.data_dir / 'secret_key'}"
    )
    return (
        f"The secret key is in no backup: keep {where} elsewhere, without it the secrets of "
        "connections cannot be read and links in messages are refused."
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
