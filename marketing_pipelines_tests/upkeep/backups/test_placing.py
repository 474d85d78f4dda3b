"""The places of files at a restore: stores with files of others, and files that are not its."""

import hashlib
from pathlib import Path

import pytest

from marketing_pipelines.domains.upkeep.backups.placing import Places
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.backups import BackedUpFile
from marketing_pipelines_tests.upkeep.backups.world import files_below

HOUR = "contact_activity/dt=2026-03-02/hr=10/events.parquet"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def write(settings: Settings, path: str) -> None:
    place = settings.data_dir / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"of somebody")


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        (f"lake/{HOUR}", "MARKETING_LAKE_URL"),
        ("files/mail/1/ab/abc.eml", "MARKETING_FILES_URL"),
        ("files/exports/1/1.csv", "MARKETING_FILES_URL"),
    ],
)
def test_a_store_in_which_files_lie_is_refused(settings: Settings, path: str, setting: str) -> None:
    write(settings, path)
    _, below = path.split("/", 1)
    with pytest.raises(BadInputError, match=f"first file is {below}: set {setting} to another"):
        Places(settings).require_empty()


def test_identities_and_erasures_are_in_no_way(settings: Settings) -> None:
    for path in ("lake/installation", "files/erasures/1.json"):
        write(settings, path)
    Places(settings).require_empty()


def test_files_that_are_not_of_the_backup_are_removed(settings: Settings) -> None:
    kept = ["lake/" + HOUR, "files/mail/1/ab/kept.eml", "files/exports/1/1.csv"]
    for path in (*kept, "lake/" + HOUR.replace("hr=10", "hr=11"), "files/mail/1/ab/former.eml"):
        write(settings, path)
    digest = hashlib.sha256(b"of somebody").hexdigest()
    backed_up = [
        BackedUpFile("lake", "2026-03-02T10:00:00+00:00", digest, 11),
        BackedUpFile("mail", "mail/1/ab/kept.eml", digest, 11),
    ]
    Places(settings).remove_foreign_files(backed_up)
    assert files_below(settings.data_dir).keys() == set(kept)
