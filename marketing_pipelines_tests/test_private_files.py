"""Nothing that is kept on the machine can be read by its other accounts."""

import os
import stat
from pathlib import Path

import pytest

from marketing_pipelines.stores.private import make_private
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import Installation

COLUMNS = "event_id,organization_id,contact_id,event_type,occurred_at"


def open_to_others(folder: Path) -> list[str]:
    """Files and folders that another account could reach, were the folders above them open."""
    found = [folder, *folder.rglob("*")]
    assert len(found) > 5
    return [str(path) for path in found if path.lstat().st_mode & 0o077 and not path.is_symlink()]


def test_every_file_of_an_installation_is_its_accounts_alone(
    installation: Installation, tmp_path: Path
) -> None:
    data, lake = tmp_path / "a data folder", tmp_path / "lake elsewhere"
    events, rejects = tmp_path / "events.csv", tmp_path / "rejects.csv"
    events.write_text(f"{COLUMNS}\n1,o,c,sent,2026-03-01T10:00:00Z\n2,o,c,sent,nonsense\n")
    before = os.umask(0o022)
    try:
        data.mkdir(parents=True, exist_ok=True)
        data.chmod(0o755)
        elsewhere = {"MARKETING_DATA_DIR": str(data), "MARKETING_LAKE_URL": str(lake)}
        options = ("--rejects", str(rejects), "--allow-rejects")
        loaded = call_here("load", "events", str(events), *options, **elsewhere)
        assert loaded.returncode == 0, loaded.stderr
        hour = ("--partition", "2026-03-01-10:00")
        for job in (("analytics/contact_activity", *hour), ("analytics/warehouse",)):
            done = call_here("run", *job, **elsewhere)
            assert done.returncode == 0, done.stderr
    finally:
        os.umask(before)
    assert list(lake.rglob("*.parquet")), "the lake has a file"
    assert (data / "warehouse.duckdb").exists()
    assert open_to_others(data) == []
    assert open_to_others(lake) == []
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600


def test_a_folder_that_was_open_is_closed_and_one_of_another_account_is_left(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "a" / "b"
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    folder.chmod(0o755)
    os.chown(folder, 65534, 65534)
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
