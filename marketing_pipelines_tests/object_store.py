"""An object store of the S3 kind in this process, for tests of what is stored at `s3://`."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import boto3
import fsspec.config
import pytest
from moto.server import ThreadedMotoServer

# The least that S3 takes as a part of an upload.
PART_BYTES = 5 << 20


@contextlib.contextmanager
def object_store(bucket: str) -> Iterator[Any]:
    """An empty bucket that this process and its children reach; gives the client of the store."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    options = {
        "endpoint_url": f"http://127.0.0.1:{port}",
        "key": "test",
        "secret": "test",
        "default_block_size": PART_BYTES,
    }
    client = boto3.client(
        "s3",
        endpoint_url=options["endpoint_url"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fsspec.config.conf, "s3", options)
        patch.setenv("FSSPEC_S3", json.dumps(options))
        client.create_bucket(Bucket=bucket)
        try:
            yield client
        finally:
            server.stop()
