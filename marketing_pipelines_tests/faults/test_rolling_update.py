"""API and workers are replaced one by one, with an expanding migration between, under load."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from marketing_pipelines.api import tokens
from marketing_pipelines_tests.api.serving import answers
from marketing_pipelines_tests.cli.console import call_here, start
from marketing_pipelines_tests.queueing.installed import calls, put, scalar, workers
from marketing_pipelines_tests.scale import SOAK, soak_only
from marketing_pipelines_tests.waiting import until

HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed"),
]

# Seconds that clients go on at least, clients, and API processes that are replaced.
LOAD, CLIENTS, REPLACED = (90, 6, 2) if SOAK else (0, 2, 1)
PAUSE = 0.1
CONFIGURATION = """
global
    stats socket {folder}/stats
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    option http-server-close
frontend all
    bind 127.0.0.1:{port}
    default_backend api
backend api
    option httpchk GET /health/ready
    http-check send hdr Host localhost
    default-server check inter 500 fall 2 rise 1
    server one 127.0.0.1:{one}
    server two 127.0.0.1:{two}
"""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@contextlib.contextmanager
def proxy(folder: Path, port: int, one: int, two: int) -> Iterator[Path]:
    """A running haproxy: the socket at which it tells the states of its servers."""
    file = folder / "haproxy.cfg"
    file.write_text(CONFIGURATION.format(folder=folder, port=port, one=one, two=two))
    process = subprocess.Popen([str(HAPROXY), "-f", file, "-db"], stderr=subprocess.DEVNULL)
    try:
        yield folder / "stats"
    finally:
        process.kill()
        process.wait()


def is_up(stats: Path, server: str) -> bool:
    """Returns true if haproxy sends requests to a server."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(stats))
        client.sendall(b"show stat\n")
        text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
        rows = [line.split(",") for line in text.splitlines() if line.startswith(f"api,{server},")]
        return [row[17] for row in rows] == ["UP"]
    return False


def has_greeted(worker: "subprocess.Popen[str]") -> bool:
    """Reads one line of a worker; before its greeting it knows no signals."""
    assert worker.stdout is not None
    return worker.stdout.readline().startswith("worker: ")


@dataclass
class Clients:
    """Threads that send events, each request on a connection of its own and never twice."""

    port: int
    token: str
    ends: threading.Event = field(default_factory=threading.Event)
    answers: list[int | str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def send(self, client: int) -> None:
        """Sends until the end."""
        number = 0
        while not self.ends.wait(PAUSE):
            number += 1
            event = f"{client}-{number}"
            self.sent.append(event)
            self.answers.append(self._answer(event))

    def _answer(self, event: str) -> int | str:
        row = {
            "event_id": event,
            "organization_id": "acme",
            "contact_id": "c1",
            "event_type": "opened",
            "occurred_at": "2026-03-01T10:00:00Z",
        }
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, 30)) as http_:
            try:
                http_.request("POST", "/v1/events", json.dumps({"events": [row]}), headers)
                answer = http_.getresponse()
                loaded = json.loads(answer.read()).get("loaded")
            except (OSError, http.client.HTTPException) as error:
                return repr(error)
            return answer.status if loaded == 1 else f"{answer.status}, loaded {loaded}"


@pytest.mark.soak
@soak_only
@pytest.mark.fault(43)
def test_no_request_fails_and_no_task_is_done_twice(queue: sa.Engine, tmp_path: Path) -> None:
    with queue.begin() as connection:
        organization = connection.exec_driver_sql(
            "insert into crm.organizations (external_id) values ('acme') returning id"
        ).scalar_one()
        token = tokens.create(connection, "app", ["write"], organization)
    port, *ports = free_ports(3)
    names = ("one", "two")
    clients = Clients(port, token)
    threads = [threading.Thread(target=clients.send, args=(n,)) for n in range(CLIENTS)]
    expected: list[int] = []
    began = time.monotonic()
    with contextlib.ExitStack() as stack:

        def api(on: int) -> "subprocess.Popen[str]":
            return stack.enter_context(start("api", "--port", str(on), "--behind-proxy"))

        apis = [api(on) for on in ports]
        for on in ports:
            until(lambda on=on: answers(f"http://127.0.0.1:{on}"), what="the API")
        stats = stack.enter_context(proxy(tmp_path, port, *ports))
        for name in names:
            until(lambda name=name: is_up(stats, name), what="the proxy to see both")
        processes = stack.enter_context(workers(2))
        stack.callback(clients.ends.set)
        for thread in threads:
            thread.start()
        for turn in range(REPLACED):
            expected += put(queue, "write_once", 20)
            until(lambda turn=turn: has_greeted(processes[turn]), what="the worker")
            processes[turn].terminate()
            assert processes[turn].wait(60) == 0
            stack.enter_context(workers(1))
            apis[turn].terminate()
            apis[turn].wait(60)
            assert not is_up(stats, names[turn]), "it left only after the proxy had noticed"
            if turn == 0:
                # Expand: what the former release reads and writes stays.
                with queue.begin() as connection:
                    connection.exec_driver_sql("alter table crm.contacts add column note text")
                assert call_here("migrate").returncode == 0
            api(ports[turn])
            until(lambda turn=turn: is_up(stats, names[turn]), what="the proxy to see the new one")
        until(lambda: time.monotonic() >= began + LOAD, what="the end of the load")
        clients.ends.set()
        for thread in threads:
            thread.join()
        done = "select count(*) from procrastinate_jobs where status = 'succeeded'"
        until(lambda: scalar(queue, done) >= len(expected), what="the tasks")
    assert len(clients.answers) > 20
    assert Counter(clients.answers) == {200: len(clients.sent)}
    stored = scalar(queue, "select count(*) from analytics.contact_activity")
    assert stored == len(clients.sent)
    assert Counter(task for task, _ in calls(queue)) == dict.fromkeys(expected, 1)
