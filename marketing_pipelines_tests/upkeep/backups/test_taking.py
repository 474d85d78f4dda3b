"""Backups that are taken: files that change meanwhile, damaged objects, killed processes."""

import contextlib
import datetime as dt
import itertools
import os
import resource
import signal
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains import load_jobs
from marketing_pipelines.domains.upkeep.backups.dumps import PostgresTools
from marketing_pipelines.domains.upkeep.backups.taking import JOB, backup_lock
from marketing_pipelines.domains.upkeep.backups.verifying import FOLDER, verify
from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError
from marketing_pipelines.observability.health import report
from marketing_pipelines.policies import policy_of
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.backups import BACKUPS, FILES, FINISHED, object_path
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.cli.console import call_here, start
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.object_store import object_store
from marketing_pipelines_tests.scale import SOAK, soak_only
from marketing_pipelines_tests.upkeep.backups.world import (
    BUCKET,
    MAIL,
    MAIL_PATH,
    NOW,
    URL,
    Bucket,
    World,
    files_below,
    quiet,
)

HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def world(shared_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.furnish(shared_installation, tmp_path_factory.mktemp("world"))


@pytest.fixture
def own_store(world: World, tmp_path: Path) -> Iterator[World]:
    """The world with an empty store, and its files as they were at the end."""
    before, stored = world.settings, files_of(world)
    world.settings = before.model_copy(update={"backup_url": str(tmp_path / "backups")})
    yield world
    world.settings = before
    for path, content in stored.items():
        path.write_bytes(content)


def files_of(world: World) -> dict[Path, bytes]:
    data = world.settings.data_dir
    folders = [data / name for name in ("lake", "files", "reports")]
    return {path: path.read_bytes() for one in folders for path in one.rglob("*") if path.is_file()}


def hour_files(world: World) -> list[Path]:
    return sorted((world.settings.data_dir / "lake").rglob("events.parquet"))


def test_a_second_backup_stores_only_what_is_new(own_store: World) -> None:
    first = own_store.take()
    assert first.contents.new_objects == first.contents.count == 4
    assert first.backup.file_count == 4
    (Path(own_store.settings.reports_url) / "campaigns" / "acme.html").write_text("<p>new</p>")
    second = own_store.take(NOW + HOUR)
    assert (second.contents.count, second.contents.new_objects) == (4, 1)
    # Of one day, the newest backup stays; the former report is in none.
    assert second.removed.backups == 1
    assert second.removed.objects == 1
    assert list(own_store.store.ids()) == [second.backup.id]


def test_an_hour_that_is_replaced_meanwhile_is_stored_as_it_is_and_noted(
    own_store: World,
) -> None:
    replaced, missing = hour_files(own_store)
    replaced.write_bytes(b"newer")
    missing.unlink()
    taken = own_store.take()
    assert taken.backup.replaced_hours == [
        "2026-03-02T10:00:00+00:00",
        "2026-03-02T11:00:00+00:00",
    ]
    assert taken.contents.missing == 1
    [lake] = [one for one in own_store.store.listed(taken.backup) if one.kind == "lake"]
    assert own_store.store.files.read(object_path(lake.object)) == b"newer"


def test_an_object_that_became_shorter_is_stored_again(own_store: World) -> None:
    own_store.take()
    digest = Path(MAIL_PATH).stem
    path = Path(own_store.store.files.url) / object_path(digest)
    path.write_bytes(b"short")
    again = own_store.take(NOW + HOUR)
    assert again.contents.new_objects == 1
    assert path.read_bytes() == MAIL


@pytest.mark.parametrize(
    "name", [pytest.param(FINISHED, marks=[pytest.mark.soak, soak_only]), FILES]
)
def test_a_damaged_backup_stops_no_later_one(own_store: World, name: str) -> None:
    damaged = own_store.take().backup
    path = Path(own_store.store.files.url) / BACKUPS / damaged.id / name
    path.write_bytes(path.read_bytes()[:-9])
    # Its size is in no list that can be read.
    mail = Path(own_store.store.files.url) / object_path(Path(MAIL_PATH).stem)
    mail.write_bytes(b"short")
    again = own_store.take(NOW + HOUR)
    assert again.contents.new_objects == 4
    assert mail.read_bytes() == MAIL
    assert own_store.store.latest() == again.backup


def test_a_store_that_cannot_be_written_fails_and_leaves_no_backup(
    own_store: World,
) -> None:
    [(identity,)] = own_store.site.rows("select installation_id from ops.installation")
    own_store.store.claim(identity)
    own_store.store.files.write("objects", b"a file where a folder belongs")
    with pytest.raises(StoreUnavailableError, match="check MARKETING_BACKUP_URL"):
        own_store.take()
    assert own_store.store.ids() == {}


def test_a_disk_that_is_full_is_one_sentence_and_leaves_no_backup(
    own_store: World,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    own_store.take()
    before = files_below(Path(own_store.store.files.url))
    # The kernel refuses longer files, as a full disk does.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(StoreUnavailableError, match=r"cannot be read or written \(File too"):
            own_store.take(NOW + HOUR)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert files_below(Path(own_store.store.files.url)) == before


def test_two_backups_at_once_are_one_and_a_refusal(own_store: World) -> None:
    url = own_store.store.files.url
    with backup_lock(own_store.site.engine):
        done = call_here("backup", "now", MARKETING_BACKUP_URL=url)
    assert done.returncode == 1
    assert "A backup of this database is being taken: wait for it." in done.stderr


@pytest.mark.soak
@soak_only
def test_a_killed_backup_never_counts_and_the_next_removes_it(own_store: World) -> None:
    url = own_store.store.files.url
    with start("backup", "now", MARKETING_BACKUP_URL=url) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("database marketing"):
                break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    [(half, is_whole)] = own_store.store.ids().items()
    assert not is_whole
    listed = call_here("backup", "list", MARKETING_BACKUP_URL=url)
    assert f"{half}" in listed.stdout
    assert "unfinished" in listed.stdout
    taken = own_store.take()
    assert own_store.store.ids() == {taken.backup.id: True}
    left = [path.name for path in Path(url).rglob(".writing-*")]
    assert left == []


def test_backup_now_says_that_the_secret_key_is_not_in_it(own_store: World) -> None:
    done = call_here("backup", "now", MARKETING_BACKUP_URL=own_store.store.files.url)
    assert done.returncode == 0, done.stderr
    key = own_store.settings.data_dir / "secret_key"
    assert f"The secret key is in no backup: keep {key} elsewhere" in done.stdout
    key.write_text("this is the secret key of the installation")
    content = b"".join(
        path.read_bytes() for path in Path(own_store.store.files.url).rglob("*") if path.is_file()
    )
    assert key.read_bytes() not in content


def test_without_a_url_every_command_names_the_setting(own_store: World) -> None:
    for command in (["now"], ["list"], ["verify"], ["restore", "x"]):
        done = call_here("backup", *command)
        assert done.returncode == 1
        assert "MARKETING_BACKUP_URL is not set" in done.stderr


def test_programs_older_than_the_server_are_refused(own_store: World, tmp_path: Path) -> None:
    for name in ("pg_dump", "pg_restore"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 15.1'\n")
        (tmp_path / name).chmod(0o755)
    settings = own_store.settings.model_copy(update={"postgres_bin": tmp_path})
    tools = PostgresTools(settings)
    with pytest.raises(ConfigurationError, match=r"is of PostgreSQL 15 .* of PostgreSQL 18: set"):
        tools.require_for(180_001)
    (tmp_path / "pg_restore").unlink()
    with pytest.raises(ConfigurationError, match="holds no pg_restore: set MARKETING_POSTGRES_BIN"):
        PostgresTools(settings)


def test_production_without_a_url_is_degraded_and_its_job_off(
    own_store: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_jobs()
    monkeypatch.setenv("MARKETING_ENV", "production")
    sentence = "No backup is configured: set MARKETING_BACKUP_URL."

    def standing() -> tuple[bool, bool]:
        get_settings.cache_clear()
        with own_store.site.engine.begin() as connection:
            reasons = report(connection, None, NOW).reasons
        return policy_of(JOB).is_on, sentence in reasons

    assert standing() == (False, True)
    monkeypatch.setenv("MARKETING_BACKUP_URL", own_store.store.files.url)
    assert standing() == (True, False)
    monkeypatch.setenv("MARKETING_ENV", "staging")
    assert standing() == (False, False)
    get_settings.cache_clear()


def test_the_job_takes_the_backup_of_its_tick(
    own_store: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETING_BACKUP_URL", own_store.store.files.url)
    get_settings.cache_clear()
    [outcome] = own_store.site.run(JOB, at=NOW)
    assert (outcome.status, outcome.rows) == ("COMPLETED", 4)
    assert own_store.store.ids() == {"20260305T120000Z": True}
    monkeypatch.delenv("MARKETING_BACKUP_URL")
    get_settings.cache_clear()


@pytest.mark.soak
def test_a_backup_under_load_is_of_one_instant(own_store: World) -> None:
    # Of a store that is no folder, dumps are restored while they are read.
    own_store.settings = own_store.settings.model_copy(
        update={"backup_url": f"memory://{uuid.uuid4()}"}
    )
    with writing(own_store):
        taken = own_store.take()
    if SOAK:
        done = verify(own_store.settings, taken.backup.id, now=NOW, say=quiet)
        assert done.problems == []
        assert done.tables == sum(len(one.tables) for one in taken.backup.databases.values())
        assert done.files == 4
    tables = taken.backup.databases["marketing"].tables
    now = own_store.contents()["marketing"]
    assert tables["crm.contacts"].rows < now["crm.contacts"].rows
    # Each contact and a content are one transaction.
    assert tables["crm.contacts"].rows - 20 == tables["delivery.contents"].rows - 1


@contextlib.contextmanager
def writing(world: World) -> Iterator[None]:
    """Writes contacts and exports an hour again, in threads, from before until after."""
    stop, begun = threading.Event(), threading.Barrier(3, timeout=60)
    engine = create_engine(world.site.engine.url)

    def write() -> None:
        for number in itertools.count():
            with engine.begin() as connection:
                connection.execute(_WRITE, {"name": f"w{number}"})
            if number == 0:
                begun.wait()
            if stop.is_set():
                break

    def rewrite() -> None:
        # The same content moved into place again and again.
        path = hour_files(world)[0]
        content = path.read_bytes()
        for number in itertools.count():
            path.with_name("new").write_bytes(content)
            path.with_name("new").replace(path)
            if number == 0:
                begun.wait()
            if stop.wait(0.01):
                break

    with ThreadPoolExecutor(2) as threads:
        working = [threads.submit(work) for work in (write, rewrite)]
        begun.wait()
        try:
            yield
        finally:
            stop.set()
        for one in working:
            one.result()


_WRITE = sa.text("""
    with contact as (
        insert into crm.contacts (organization_id, external_id)
        select id, :name from crm.organizations
        returning id, organization_id
    )
    insert into delivery.contents (organization_id, digest, content)
    select organization_id, :name, cast('{}' as jsonb) from contact
""")


def test_verify_finds_what_is_missing_truncated_and_changed(own_store: World) -> None:
    taken = own_store.take()
    store = Path(own_store.store.files.url)
    lake, mail, report = (
        next(one for one in own_store.store.listed(taken.backup) if one.kind == kind)
        for kind in ("lake", "mail", "report")
    )
    (store / object_path(lake.object)).unlink()
    (store / object_path(mail.object)).write_bytes(MAIL[:-1])
    (store / object_path(report.object)).write_bytes(b"<p>REPORT</p>")
    dump = store / BACKUPS / taken.backup.id / "marketing.dump"
    dump.write_bytes(dump.read_bytes()[:-1])
    done = verify(own_store.settings, taken.backup.id, now=NOW, say=quiet)
    assert done.problems == [
        f"{object_path(lake.object)}, the lake file {lake.path}, is missing.",
        f"{object_path(mail.object)}, the mail file {mail.path}, has {len(MAIL) - 1} bytes, not "
        f"{len(MAIL)}.",
        f"{object_path(report.object)}, the report file {report.path}, has another content.",
        f"{BACKUPS}/{taken.backup.id}/marketing.dump at {own_store.store.files.url} is missing or "
        "damaged: restore another backup.",
    ]
    assert not (own_store.settings.data_dir / FOLDER).exists()


@pytest.mark.soak
@soak_only
def test_verify_finds_what_is_missing_and_truncated_in_a_bucket(own_store: World) -> None:
    world = own_store
    world.settings = world.settings.model_copy(update={"backup_url": URL})
    with object_store(BUCKET) as client:
        bucket = Bucket(world, client)
        backup = world.take().backup
        files = {one.kind: one for one in world.store.listed(backup)}
        folder = f"{BACKUPS}/{backup.id}"
        names = ("backup.json", "dagster.dump", "files.jsonl.gz", "marketing.dump", "started.json")
        objects = {object_path(one.object) for one in world.store.listed(backup)}
        assert bucket.keys() == sorted([*(f"{folder}/{name}" for name in names), "installation",
                                        *objects])  # fmt: skip
        bucket.remove(object_path(files["lake"].object))
        bucket.put(object_path(files["mail"].object), MAIL[:-1])
        bucket.remove(f"{folder}/dagster.dump")
        done = verify(world.settings, backup.id, now=NOW, say=quiet)
        assert done.problems == [
            f"{object_path(files['lake'].object)}, the lake file {files['lake'].path}, is missing.",
            f"{object_path(files['mail'].object)}, the mail file {files['mail'].path}, has "
            f"{len(MAIL) - 1} bytes, not {len(MAIL)}.",
            f"{folder}/dagster.dump at s3://{BUCKET}/kept is missing or damaged: restore another "
            "backup.",
        ]
        # The next backup stores both again.
        assert world.take().contents.new_objects == 2
