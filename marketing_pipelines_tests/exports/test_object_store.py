"""Exports to an object store: a file is there when it is whole, and a killed upload leaves none."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import fsspec.config
import pytest
from moto.server import ThreadedMotoServer

from marketing_pipelines.domains.exports.tasks import EXPORTS
from marketing_pipelines.queueing import outcomes
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines_tests.exports.exporting import Exporter

BUCKET, URL = "exports-bucket", "s3://exports-bucket/files"
ROWS = 12_000
MAX_WAIT = 60


@dataclass
class Store:
    """An object store that stops at the second part of an upload until it is released."""

    client: Any = None
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wrap(self, app: Any) -> Any:
        """The application that stops."""

        def stopping(environ: dict[str, Any], start_response: Any) -> Any:
            if "partNumber=2" in environ.get("QUERY_STRING", ""):
                self.reached.set()
                self.released.wait(MAX_WAIT)
            return app(environ, start_response)

        return stopping

    def objects(self) -> list[str]:
        """The keys of all objects."""
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [one["Key"] for one in found]

    def uploads(self) -> list[str]:
        """The keys of unfinished uploads."""
        found = self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return [one["Key"] for one in found]


@pytest.fixture
def store(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty bucket, which `MARKETING_FILES_URL` names."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    store = Store()
    wsgi: Any = server._server
    wsgi.app = store.wrap(wsgi.app)
    options = {
        "endpoint_url": f"http://127.0.0.1:{port}",
        "key": "test",
        "secret": "test",
        "default_block_size": 5 << 20,
    }
    monkeypatch.setitem(fsspec.config.conf, "s3", options)
    monkeypatch.setenv("FSSPEC_S3", json.dumps(options))
    monkeypatch.setenv("MARKETING_FILES_URL", URL)
    get_settings.cache_clear()
    store.client = boto3.client(
        "s3",
        endpoint_url=options["endpoint_url"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    store.client.create_bucket(Bucket=BUCKET)
    yield store
    store.released.set()
    server.stop()
    get_settings.cache_clear()


def large_contacts(exporter: Exporter) -> int:
    """The number of an export whose file has three parts."""
    exporter.installation.execute(
        "insert into crm.contacts (organization_id, external_id, follow_up_note)"
        " select :own, 'c' || n, repeat(md5(n::text), 30) from generate_series(1, :rows) as n",
        own=exporter.organization,
        rows=ROWS,
    )
    number: int = exporter.ask(columns=["external_id", "follow_up_note"]).json()["id"]
    return number


def test_a_killed_upload_leaves_one_object_in_the_end(exporter: Exporter, store: Store) -> None:
    number = large_contacts(exporter)
    worker = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "marketing_pipelines", "worker", "--queue",
         "exports", "--drain"],
        env=dict(os.environ), start_new_session=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert store.reached.wait(MAX_WAIT)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(MAX_WAIT)
    store.released.set()
    assert store.objects() == []
    assert store.uploads() == [f"files/exports/{number}/1.csv"]
    with exporter.engine.begin() as connection:
        rescued = outcomes.rescue_stalled(
            connection,
            silent_for=dt.timedelta(seconds=0),
            attempts_of={EXPORTS.name: EXPORTS.retry.attempts},
        )
    assert rescued == (1, 0)
    exporter.work()
    done = exporter.status(number)
    assert (done.state, done.attempt, done.rows) == ("ready", 2, ROWS)
    assert store.objects() == [f"files/exports/{number}/2.csv"]
    assert store.uploads() == []
    content = FileStore(URL).read(f"exports/{number}/2.csv")
    assert len(content) == done.size
    assert len(content.splitlines()) == ROWS + 1


def test_a_cancel_during_an_upload_leaves_no_object_and_no_upload(
    exporter: Exporter, store: Store
) -> None:
    number = large_contacts(exporter)
    worker = threading.Thread(target=exporter.work)
    worker.start()
    assert store.reached.wait(MAX_WAIT)
    answer = exporter.client.delete(f"/v1/exports/{number}", headers=exporter.bearer)
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    store.released.set()
    worker.join(MAX_WAIT)
    assert not worker.is_alive()
    cancelled = exporter.status(number)
    assert (cancelled.state, cancelled.attempt, cancelled.file) == ("cancelled", 1, None)
    assert store.objects() == []
    assert store.uploads() == []
    assert exporter.rows("select count(*) from crm.contacts where organization_id = :own") == [
        (ROWS,)
    ]
