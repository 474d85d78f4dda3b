"""The backups that stay, and the removal of the others with the objects that only they name."""

import datetime as dt
import gzip
import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketing_pipelines.domains.upkeep.backups.keeping import (
    LONGEST_BACKUP,
    RemovedBackups,
    remove_old,
    remove_unfinished,
)
from marketing_pipelines.failures import BadInputError, ConfigurationError
from marketing_pipelines.installation_settings import KeptBackups
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.backup_days import days_kept, removal_days
from marketing_pipelines.stores.backups import (
    BACKUPS,
    FILES,
    FINISHED,
    STARTED,
    BackedUpFile,
    Backup,
    BackupStore,
    KeptBackup,
    kept_backups,
    object_path,
    started_json,
)
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import instant

ZONE = ZoneInfo("UTC")
# A Monday.
FIRST = instant("2026-03-02T04:00Z")
DAY = dt.timedelta(days=1)
KEEP = KeptBackups()
HALF = "20260303T120000Z"
OURS, THEIRS = "server/1", "server/2"


@pytest.fixture
def store(tmp_path: Path) -> BackupStore:
    return BackupStore.of(settings_of(tmp_path))


def settings_of(folder: Path) -> Settings:
    return Settings(data_dir=folder, backup_url=str(folder / "backups"))


def add(store: BackupStore, at: dt.datetime, contents: Sequence[bytes]) -> str:
    """Writes a whole backup with these files."""
    backup_id = f"{at:%Y%m%dT%H%M%SZ}"
    entries = []
    for number, content in enumerate(contents):
        digest = hashlib.sha256(content).hexdigest()
        store.files.write(object_path(digest), content)
        entries.append(BackedUpFile("mail", f"{number}.eml", digest, len(content)))
    lines = gzip.compress(b"".join(json.dumps(asdict(one)).encode() + b"\n" for one in entries))
    store.files.write(f"{BACKUPS}/{backup_id}/{FILES}", lines)
    backup = Backup(
        backup_id, at, "1.0", "0047", "UTC", "i", True, {}, hashlib.sha256(lines).hexdigest(),
        len(entries), sum(map(len, contents)),
    )  # fmt: skip
    store.files.write(f"{BACKUPS}/{backup_id}/{FINISHED}", backup.as_json())
    return backup_id


def days(count: int) -> dict[str, dt.datetime]:
    return {f"day {number}": FIRST + number * DAY for number in range(count)}


def test_seven_days_and_four_sundays_stay() -> None:
    kept = days_kept(days(60), ZONE, KEEP)
    last_days = {f"day {number}": 7 for number in range(53, 60)}
    # Days 6, 13, 20 and so on are Sundays.
    assert kept == last_days | {f"day {number}": 28 for number in (34, 41, 48, 55)}


def test_the_newest_backup_of_a_day_of_the_reporting_zone_counts() -> None:
    backups = {
        "morning": instant("2026-03-03T04:00Z"),
        "evening": instant("2026-03-03T20:00Z"),
        "night": instant("2026-03-03T23:30Z"),
    }
    assert days_kept(backups, ZONE, KEEP) == {"night": 7}
    assert days_kept(backups, ZoneInfo("Europe/Berlin"), KEEP) == {"evening": 7, "night": 7}


def test_of_one_instant_the_last_number_is_the_newest() -> None:
    backups = dict.fromkeys(
        ["20260302T040000Z", "20260302T040000Z-2", "20260302T040000Z-10"], FIRST
    )
    assert days_kept(backups, ZONE, KEEP) == {"20260302T040000Z-10": 7}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(st.integers(0, 400), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 5))
def test_the_newest_backup_always_stays_and_no_more_than_the_numbers(
    numbers: set[int], daily: int, weekly: int
) -> None:
    backups = {f"{number:03}": FIRST + number * DAY for number in numbers}
    kept = days_kept(backups, ZONE, KeptBackups(daily=daily, weekly=weekly))
    assert f"{max(numbers):03}" in kept
    assert len(kept) <= daily + weekly


def test_old_backups_go_with_the_objects_that_no_other_names(store: BackupStore) -> None:
    ids = [add(store, FIRST + number * DAY, [b"shared", b"own %d" % number]) for number in range(9)]
    assert remove_old(store, ZONE, OURS, FIRST + 9 * DAY) == RemovedBackups(backups=2, objects=2)
    assert remove_old(store, ZONE, OURS, FIRST + 9 * DAY) == RemovedBackups()
    assert list(store.ids()) == ids[2:]
    contents = {store.files.read(file.path) for file in store.files.files("objects")}
    assert contents == {b"shared", *(b"own %d" % number for number in range(2, 9))}


def test_objects_stay_while_another_server_takes_a_backup(store: BackupStore) -> None:
    for number in range(9):
        add(store, FIRST + number * DAY, [b"own %d" % number])
    store.files.write(
        f"{BACKUPS}/20260310T120000Z/{STARTED}", started_json(THEIRS, FIRST + 8 * DAY)
    )
    now = FIRST + 9 * DAY
    assert remove_unfinished(store, OURS, now) == 0
    before = len(store.objects())
    assert remove_old(store, ZONE, OURS, now).objects == 0
    assert len(store.objects()) == before
    assert remove_unfinished(store, OURS, FIRST + 8 * DAY + LONGEST_BACKUP) == 1
    assert remove_old(store, ZONE, OURS, now).objects > 0


def test_an_unfinished_backup_of_this_database_goes_and_never_counts(store: BackupStore) -> None:
    whole = add(store, FIRST, [b"a"])
    store.files.write(f"{BACKUPS}/{HALF}/{STARTED}", started_json(OURS, FIRST))
    store.files.write(f"{BACKUPS}/{HALF}/marketing.dump", b"half a dump")
    (Path(store.files.url) / "objects" / ".writing-abc").write_bytes(b"half an object")
    erasure = Path(store.files.url) / "erasures" / ".writing-abc"
    erasure.parent.mkdir()
    erasure.write_bytes(b"half of what an erasure writes just now")
    assert store.ids() == {whole: True, HALF: False}
    with pytest.raises(BadInputError, match=rf"no whole backup {HALF} .* the latest is {whole}"):
        store.read(HALF)
    assert remove_unfinished(store, OURS, FIRST) == 1
    assert store.ids() == {whole: True}
    assert not (Path(store.files.url) / "objects" / ".writing-abc").exists()
    assert erasure.exists()
    assert len(store.objects()) == 1


def test_kept_backups_say_when_they_expire(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    store = BackupStore.of(settings)
    monday = add(store, FIRST, [])
    sunday = add(store, FIRST + 6 * DAY, [])
    # No backup was taken in between: Monday is one of the newest seven days until Saturday.
    assert [(one.id, one.expires_at) for one in kept_backups(settings, FIRST + 6 * DAY)] == [
        (monday, dt.date(2026, 3, 14)),
        (sunday, dt.date(2026, 4, 5)),
    ]
    # Each day without a backup puts the removal off.
    assert [one.expires_at.day for one in kept_backups(settings, FIRST + 16 * DAY)] == [23, 12]
    assert kept_backups(settings.model_copy(update={"backup_url": None}), FIRST) == []


@given(
    days=st.sets(st.integers(0, 60), min_size=1, max_size=12),
    daily=st.integers(1, 8),
    weekly=st.integers(0, 3),
)
def test_a_backup_is_removed_on_the_day_that_was_named(
    days: set[int], daily: int, weekly: int
) -> None:
    keep = KeptBackups(daily=daily, weekly=weekly)
    taken = {f"day {day}": FIRST + day * DAY for day in sorted(days)}
    kept = {name: taken[name] for name in days_kept(taken, ZONE, keep)}
    now = max(taken.values())
    named = removal_days(kept, ZONE, keep, now)
    present = dict(kept)
    for later in range(1, 40):
        today = now + later * DAY
        present[f"later {later}"] = today
        present = {name: present[name] for name in days_kept(present, ZONE, keep)}
        for name, day in named.items():
            assert (name in present) == (day > today.date()), (name, day, today)


@pytest.mark.parametrize("name", [FINISHED, FILES])
def test_a_damaged_backup_keeps_all_objects_and_stops_no_removal(
    store: BackupStore, name: str
) -> None:
    ids = [add(store, FIRST + number * DAY, [b"own %d" % number]) for number in range(9)]
    path = Path(store.files.url) / BACKUPS / ids[4] / name
    path.write_bytes(path.read_bytes()[:-9])
    # A damaged `backup.json` counts for no day.
    gone = 1 if name == FINISHED else 2
    now = FIRST + 9 * DAY
    assert remove_old(store, ZONE, OURS, now) == RemovedBackups(gone, damaged=(ids[4],))
    assert list(store.ids()) == ids[gone:]
    assert len(store.objects()) == 9
    store.remove(ids[4])
    assert remove_old(store, ZONE, OURS, now) == RemovedBackups(objects=gone + 1)


def test_a_damaged_backup_is_listed_and_goes_after_the_longest_time(
    tmp_path: Path,
) -> None:
    settings = settings_of(tmp_path)
    store = BackupStore.of(settings)
    damaged, whole = add(store, FIRST, []), add(store, FIRST + DAY, [])
    (Path(store.files.url) / BACKUPS / damaged / FINISHED).write_bytes(b"[]")
    assert kept_backups(settings, FIRST + DAY) == [
        KeptBackup(damaged, dt.date(2026, 3, 30), is_damaged=True),
        KeptBackup(whole, dt.date(2026, 3, 10)),
    ]
    listed = call_here(
        "backup", "list", MARKETING_BACKUP_URL=store.files.url, MARKETING_DATA_DIR=str(tmp_path)
    )
    assert listed.returncode == 0, listed.stderr
    # The newest comes first.
    second, first = listed.stdout.splitlines()[-2:]
    assert (first.split()[0], first.split()[-1]) == (damaged, "damaged")
    assert (second.split()[0], second.split()[-1]) == (whole, "whole")
    assert remove_old(store, ZONE, OURS, FIRST + 27 * DAY).damaged == (damaged,)
    assert remove_old(store, ZONE, OURS, FIRST + 28 * DAY) == RemovedBackups(backups=1)


def test_a_list_of_files_that_was_changed_is_refused(store: BackupStore) -> None:
    backup = store.read(add(store, FIRST, [b"a"]))
    path = Path(store.files.url) / BACKUPS / backup.id / FILES
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(BadInputError, match="is not the file of its backup"):
        list(store.listed(backup))


def test_backups_of_another_installation_are_left_alone(store: BackupStore) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    store.claim(first)
    store.claim(first)
    with pytest.raises(ConfigurationError, match=f"those of installation {first} and this"):
        store.claim(second)


@pytest.mark.parametrize("path", ["backups/photos/1.jpg", "objects/table.parquet"])
def test_a_folder_in_which_files_of_others_lie_is_no_store(store: BackupStore, path: str) -> None:
    store.files.write(path, b"of another program")
    with pytest.raises(ConfigurationError, match=f"no store of backups and holds {path}: set MARK"):
        store.claim(uuid.uuid4())
    assert [file.path for file in store.files.files()] == [path]


def test_a_folder_with_another_name_is_never_removed(store: BackupStore) -> None:
    store.claim(uuid.uuid4())
    store.files.write(f"{BACKUPS}/photos/1.jpg", b"of another program")
    store.files.write(f"{BACKUPS}/20260302T040000Z/dagster.dump", b"of a killed process")
    assert remove_unfinished(store, OURS, FIRST + DAY) == 1
    assert list(store.ids()) == ["photos"]
