"""Backups in an object store of the S3 kind: uploads in parts, restores, damaged objects."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines.domains.upkeep.backups.restoring import restore
from marketing_pipelines.domains.upkeep.backups.verifying import verify
from marketing_pipelines.stores.backups import BACKUPS, object_path
from marketing_pipelines_tests.conftest import DAGSTER_TEMPLATE
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.object_store import PART_BYTES, object_store
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.upkeep.backups.world import (
    MAIL,
    NOW,
    STOPPED,
    World,
    contents_of,
    files_below,
    quiet,
)

BUCKET = "backups-bucket"


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


@pytest.fixture(scope="module")
def bucket(
    shared_installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bucket]:
    world = World.furnish(shared_installation, tmp_path_factory.mktemp("world"))
    world.settings = world.settings.model_copy(update={"backup_url": f"s3://{BUCKET}/kept"})
    with object_store(BUCKET) as client:
        yield Bucket(world, client)


def test_verify_finds_what_is_missing_and_truncated_in_a_bucket(bucket: Bucket) -> None:
    world = bucket.world
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


@pytest.mark.soak
@soak_only
def test_a_backup_in_a_bucket_is_uploaded_in_parts_verified_and_restored(
    bucket: Bucket, new_database: Any, tmp_path: Path
) -> None:
    world = bucket.world
    world.site.execute(
        "insert into delivery.contents (organization_id, digest, content)"
        " select :own, 'large ' || n, jsonb_build_object('text', (select string_agg("
        "md5(n::text || m), '') from generate_series(1, 1000) as m))"
        " from generate_series(1, 800) as n",
        own=world.programs.organization,
    )
    backup = world.take().backup
    assert backup.databases["marketing"].size > 2 * PART_BYTES
    found = bucket.client.head_object(
        Bucket=BUCKET, Key=f"kept/{BACKUPS}/{backup.id}/marketing.dump"
    )
    # The mark of an upload in parts.
    assert int(found["ETag"].strip('"').split("-")[1]) >= 2
    assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=BUCKET)
    assert verify(world.settings, backup.id, now=NOW, say=quiet).problems == []
    target = world.settings.model_copy(
        update={
            "database_url": new_database(),
            "dagster_database_url": new_database(DAGSTER_TEMPLATE),
            "data_dir": tmp_path / "target",
        }
    )
    restore(target, backup.id, replace=True, now=NOW, say=quiet)
    after = contents_of(target)
    for name, dump in backup.databases.items():
        tables = dump.tables.keys() | after[name].keys()
        assert {one for one in tables if dump.tables.get(one) != after[name].get(one)} <= STOPPED
    for folder in ("lake/contact_activity", "files/mail"):
        assert files_below(target.data_dir / folder) == files_below(
            world.settings.data_dir / folder
        )
