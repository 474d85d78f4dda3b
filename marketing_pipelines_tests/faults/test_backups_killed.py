"""Backups and restores that are killed at any moment lose nothing and are begun again."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from marketing_pipelines.domains.upkeep.backups.restoring import restore
from marketing_pipelines.domains.upkeep.backups.verifying import verify
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.cli.console import start
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.upkeep.backups.world import (
    NOW,
    World,
    contents_of,
    empty_installation,
    files_below,
    quiet,
)

# Seconds after the first line of progress.
DELAYS = (0.0, 0.2, 0.5, 1.0, 1.5, 2.5, 4.0, 6.0)


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


@pytest.mark.soak
@soak_only
def test_a_restore_killed_at_any_moment_leaves_the_former_database_or_one_that_sends_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.message("c1", "queued")
    backup = world.take().backup
    with empty_installation(tmp_path / "other", backup_url=world.settings.backup_url) as settings:
        for name in ("MARKETING_DATABASE_URL", "MARKETING_DAGSTER_DATABASE_URL"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("MARKETING_DATA_DIR", str(settings.data_dir))
        monkeypatch.setenv("MARKETING_BACKUP_URL", str(settings.backup_url))
        for delay in DELAYS:
            was_killed = killed_after(delay, ["backup", "restore", backup.id])
            tables = contents_of(settings)["marketing"]
            if not tables:
                assert was_killed
                continue
            with create_engine(database_url(settings)).connect() as connection:
                states = connection.exec_driver_sql("select state from delivery.messages").all()
                active = connection.exec_driver_sql(
                    "select count(*) from lifecycle.programs where status = 'active'"
                ).scalar_one()
            assert [tuple(row) for row in states] == [("unknown",)]
            assert active == 0
            break
        restore(settings, backup.id, replace=True, now=NOW, say=quiet)
        lake = files_below(world.settings.data_dir / "lake")
        assert files_below(settings.data_dir / "lake").items() >= {
            (path, digest) for path, digest in lake.items() if path != "installation"
        }
