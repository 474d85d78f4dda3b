"""Backups in an object store of the S3 kind: uploads in parts, restores."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines.domains.upkeep.backups.restoring import restore
from marketing_pipelines.domains.upkeep.backups.verifying import verify
from marketing_pipelines.stores.backups import BACKUPS
from marketing_pipelines_tests.conftest import DAGSTER_TEMPLATE
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.object_store import PART_BYTES, object_store
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.upkeep.backups.world import (
    BUCKET,
    NOW,
    STOPPED,
    URL,
    Bucket,
    World,
    contents_of,
    files_below,
    quiet,
)


@pytest.fixture(scope="module")
def bucket(
    shared_installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bucket]:
    world = World.furnish(shared_installation, tmp_path_factory.mktemp("world"))
    world.settings = world.settings.model_copy(update={"backup_url": URL})
    with object_store(BUCKET) as client:
        yield Bucket(world, client)


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
