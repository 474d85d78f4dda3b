"""Backups and restores that are killed at any moment lose nothing and are begun again."""

import itertools
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from marketing_pipelines.domains.upkeep.backups.contents import Say
from marketing_pipelines.domains.upkeep.backups.restoring import restore
from marketing_pipelines.domains.upkeep.backups.verifying import verify
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.backups import Backup
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.postgres import (
    create_engine,
    dagster_database_url,
    database_url,
    libpq_uri,
)
from marketing_pipelines.stores.schema import migrate
from marketing_pipelines.stores.unfinished_restore import UnfinishedRestore, found
from marketing_pipelines_tests.cli.console import call_here, start
from marketing_pipelines_tests.conftest import DAGSTER_TEMPLATE
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.upkeep.backups.world import (
    NOW,
    STOPPED,
    World,
    contents_of,
    files_below,
    quiet,
)

# Seconds after the first line of progress.
DELAYS = (0.0, 0.2, 0.5, 1.0, 1.5, 2.5, 4.0, 6.0)
# The numbers of the steps before and after it.
RENAMING = (3, 4)
LEFT = "select from pg_database where datname like %s"


def killed_after(seconds: float, arguments: Sequence[str], **variables: str) -> bool:
    """Starts a command and kills it so long after its first line; False: it was done before."""
    with start(*arguments, **variables) as process:
        assert process.stderr is not None
        process.stderr.readline()
        time.sleep(seconds)
        if process.poll() is not None:
            return False
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


@pytest.fixture(scope="module")
def world(shared_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.furnish(shared_installation, tmp_path_factory.mktemp("world"))


@pytest.mark.soak
@soak_only
def test_a_backup_killed_at_any_moment_is_whole_or_does_not_count(world: World) -> None:
    url = str(world.settings.backup_url)
    for delay in DELAYS:
        killed_after(delay, ["backup", "now"], MARKETING_BACKUP_URL=url)
        taken = world.take()
        ids = world.store.ids()
        assert taken.backup.id in ids
        # Of another day, one that was done before the kill stays.
        assert all(ids.values())
        assert len(world.store.objects()) == 4
    assert verify(world.settings, taken.backup.id, now=NOW, say=quiet).problems == []


class Target:
    """An installation with rows and files of its own, which a restore replaces."""

    def __init__(self, world: World, backup: Backup, settings: Settings) -> None:
        self.world = world
        self.backup = backup
        self.settings = settings

    def spoil(self) -> None:
        """Makes every part another one than that of the backup."""
        for url in (database_url(self.settings), dagster_database_url(self.settings)):
            with psycopg.connect(libpq_uri(url)) as connection:
                connection.execute("create table public.former (id int)")
        lake = self.settings.data_dir / "lake" / "contact_activity"
        for day in ("2020-01-01", "2026-03-02"):
            path = lake / f"dt={day}" / "hr=10" / "events.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"of the former state")
        FileStore(self.settings.effective_files_url).write("mail/1/ab/former.eml", b"former")

    def restore(self, *, replace: bool, say: Say = quiet) -> None:
        restore(self.settings, self.backup.id, replace=replace, now=NOW, say=say)

    def state(self) -> tuple[object, ...]:
        """Everything that the installation holds."""
        return (contents_of(self.settings), *self.files(self.settings))

    @staticmethod
    def files(settings: Settings) -> list[dict[str, str]]:
        """The files of the lake and the raw mail, each below its folder."""
        found = []
        for folder in ("lake/contact_activity", "files/mail"):
            found.append(files_below(settings.data_dir / folder))
        return found

    @property
    def names(self) -> list[str]:
        """The names of its databases, in the order of their renaming."""
        urls = database_url(self.settings), dagster_database_url(self.settings)
        return [str(url.database) for url in urls]

    @property
    def mark(self) -> UnfinishedRestore | None:
        with create_engine(database_url(self.settings)).connect() as connection:
            return found(connection)

    def require_restored(self) -> None:
        assert self.mark is None
        self.require_contents()

    def require_contents(self) -> None:
        """Compares everything but the mark with the backup."""
        after = contents_of(self.settings)
        for name, dump in self.backup.databases.items():
            assert {
                table
                for table in dump.tables.keys() | after[name].keys()
                if dump.tables.get(table) != after[name].get(table)
            } <= {*STOPPED, "ops.installation"}, name
        assert self.files(self.settings) == self.files(self.world.settings)
        with create_engine(database_url(self.settings)).connect() as connection:
            states = connection.exec_driver_sql("select state from delivery.messages").scalars()
            assert set(states) == {"unknown"}
            left = connection.exec_driver_sql(LEFT, (f"{self.names[0]}%",))
            assert len(left.all()) == 1

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its commands."""
        return {
            "MARKETING_DATABASE_URL": str(self.settings.database_url),
            "MARKETING_DAGSTER_DATABASE_URL": str(self.settings.dagster_database_url),
            "MARKETING_DATA_DIR": str(self.settings.data_dir),
            "MARKETING_BACKUP_URL": str(self.settings.backup_url),
        }

    def require_closed(self) -> None:
        sentence = f"The restore of backup {self.backup.id} into this database is not finished: run"
        with pytest.raises(ConfigurationError, match=sentence):
            migrate(database_url(self.settings), self.settings)
        assert f"problem  postgresql: {sentence}" in call_here("doctor", **self.variables).stdout


def killed_restore(target: Target, step: int) -> str | None:
    """Restores in a process that kills itself at the begin of a step; returns the step's line.

    Returns:
        None: there are no so many steps, and the restore was finished.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        steps = itertools.count()

        def say(line: str) -> None:
            if next(steps) == step:
                os.write(writing, line.encode())
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            target.restore(replace=True, say=say)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        line = said.read()
    os.waitpid(process, 0)
    return line or None


@pytest.fixture
def target(world: World, new_database: Any, tmp_path: Path) -> Target:
    world.message("c1", "queued")
    settings = world.settings.model_copy(
        update={
            "database_url": new_database(),
            "dagster_database_url": new_database(DAGSTER_TEMPLATE),
            "data_dir": tmp_path / "target",
        }
    )
    return Target(world, world.take().backup, settings)


@pytest.mark.soak
@soak_only
def test_a_restore_killed_around_its_renaming_changes_nothing_or_is_finished_by_the_next(
    target: Target,
) -> None:
    target.spoil()
    before = target.state()
    lines: list[str | None] = []
    for step in RENAMING:
        lines.append(killed_restore(target, step))
        if step == RENAMING[0]:
            assert target.mark is None
            assert target.state() == before
    assert lines == [
        f"databases take their place: {', '.join(target.names)}",
        "4 files",
    ]
    target.require_closed()
    target.world.store.files.write("erasures/damaged.json", b"{")
    # The mark says that the former database is given up.
    done = call_here("backup", "restore", target.backup.id, **target.variables)
    assert done.returncode == 1
    damaged = f"erasures/damaged.json at {target.settings.backup_url} is no file of an erasure"
    assert f"Not erased: {damaged}\n" in done.stdout
    assert "1 person was erased since the backup and not again, so the database st" in done.stderr
    target.require_contents()
    target.world.store.files.remove("erasures/damaged.json")
    refused = call_here("queues", "list", **target.variables)
    assert refused.returncode == 1
    assert f"could not erase persons who were erased since ({damaged}): remove" in refused.stderr


@pytest.mark.soak
@soak_only
def test_a_restore_killed_at_any_step_changes_nothing_or_is_finished_by_the_next(
    target: Target,
) -> None:
    for step in itertools.count():
        target.spoil()
        before = target.state()
        line = killed_restore(target, step)
        if line is None:
            break
        if target.mark is None:
            assert target.state() == before
            target.restore(replace=True)
        else:
            target.require_closed()
            target.restore(replace=False)
        target.require_restored()
    assert step > RENAMING[-1] + 2
    target.require_restored()


@pytest.mark.soak
@soak_only
def test_a_restore_killed_at_any_moment_changes_nothing_or_is_finished_by_the_next(
    target: Target,
) -> None:
    for delay in DELAYS:
        target.spoil()
        before = target.state()
        command = ["backup", "restore", target.backup.id, "--replace"]
        if killed_after(delay, command, **target.variables):
            if target.mark is None and target.state() == before:
                target.restore(replace=True)
            elif target.mark is not None:
                target.restore(replace=False)
        target.require_restored()
