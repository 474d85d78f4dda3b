"""`up --only`: one part in the foreground, which ends at SIGTERM; a proxy has time to notice."""

import asyncio
import contextlib
import http.client
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from marketing_pipelines.api import serving
from marketing_pipelines.cli import one_part
from marketing_pipelines.cli.one_part import Listening, OnePart
from marketing_pipelines.cli.session import workspace_file
from marketing_pipelines.failures import WrongUsageError
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.api.serving import answers
from marketing_pipelines_tests.cli.console import call_here, start
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until

KEY = "k" * 40
LISTENING = Listening("127.0.0.1", 3000, 8000, "code:4000")


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def status(port: int, path: str) -> tuple[int, str | None]:
    """The status of an answer, and its header `Connection`."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as client:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.getheader("Connection")


@pytest.mark.parametrize("missing", ["MARKETING_SECRET_KEY", "MARKETING_DATABASE_URL"])
def test_settings_that_all_machines_need_are_asked_for_in_one_sentence(
    installation: Installation, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETING_SECRET_KEY", KEY)
    monkeypatch.delenv(missing)
    done = call_here("up", "--only", "worker")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"marketing-pipelines: {missing} is not set: `up --only` runs one part of several "
        "machines, and all of them need the same.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--code-server", "code:4000"], "--code-server needs --only"),
        (
            ["--only", "worker", "--code-server", "code:4000"],
            "--code-server has no effect on --only worker",
        ),
        (["--only", "worker", "--port", "3000"], "--port has no effect on --only worker"),
        (["--only", "api", "--port", "8000"], "--port has no effect on --only api"),
        (["--only", "daemon", "--host", "::1"], "--host has no effect on --only daemon"),
        (["--only", "code-server"], "needs --code-server HOST:PORT to listen on"),
        (["--only", "daemon", "--code-server", "code"], "'code' is no address"),
        (["--only", "daemon", "--code-server", "code:70000"], "'code:70000' is no address"),
    ],
)
def test_options_that_have_no_effect_are_refused(
    installation: Installation, arguments: list[str], sentence: str
) -> None:
    done = call_here("up", *arguments, MARKETING_SECRET_KEY=KEY)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_daemon_and_web_server_find_the_code_server_by_a_file(installation: Installation) -> None:
    settings = get_settings()
    daemon = one_part._command(OnePart.DAEMON, LISTENING, settings)
    file = Path(daemon[daemon.index("-w") + 1])
    server = {"host": "code", "port": 4000, "location_name": "marketing_pipelines"}
    assert yaml.safe_load(file.read_text()) == {"load_from": [{"grpc_server": server}]}
    assert workspace_file(settings, "[::1]:4000") == file
    assert '"::1"' in file.read_text()
    web_server = one_part._command(OnePart.WEBSERVER, LISTENING, settings)
    assert web_server[-2:] == ["--code-server", "code:4000"]
    with pytest.raises(WrongUsageError):
        workspace_file(settings, "http://code:4000")


class SlowApp:
    """An application whose path `/slow` answers when it is let."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.released = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            self.reached.set()
            await asyncio.to_thread(self.released.wait, 30)
        await PlainTextResponse("done")(scope, receive, send)


@contextlib.contextmanager
def leaving(app: Any, port: int) -> Iterator[serving._LeavingServer]:
    """A server in a thread; the test gives it signals."""
    wrapped = serving.Leaving(app)
    options = serving.config(wrapped, get_settings(), host="127.0.0.1", port=port, finish=10)
    server = serving._LeavingServer(options, wrapped)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started, what="the server")
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join()


def test_a_leaving_process_is_not_ready_and_finishes_requests_that_have_begun(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "SECONDS_TO_LEAVE", 0.5)
    app, port = SlowApp(), free_port()
    found: list[tuple[int, str | None]] = []
    with leaving(app, port) as server:
        assert status(port, "/health/ready") == (200, None)
        slow = threading.Thread(target=lambda: found.append(status(port, "/slow")))
        slow.start()
        assert app.reached.wait(30)
        loop = server.servers[0].get_loop()
        loop.call_soon_threadsafe(server.handle_exit, signal.SIGTERM, None)
        until(lambda: status(port, "/health/ready")[0] == 503, what="the first 503")
        assert status(port, "/health/ready") == (503, "close")
        assert status(port, "/anything") == (200, "close"), "requests are served meanwhile"
        until(lambda: server.should_exit, what="the end of the leaving")
        app.released.set()
        slow.join()
    assert found == [(200, None)], "the request had begun before"


@pytest.mark.soak
@soak_only
@pytest.mark.parametrize("part", OnePart)
def test_a_part_runs_alone_and_ends_at_sigterm(installation: Installation, part: OnePart) -> None:
    port = free_port()
    arguments = {
        OnePart.WEBSERVER: ["--port", str(port)],
        OnePart.API: ["--api-port", str(port)],
        OnePart.CODE_SERVER: ["--code-server", f"127.0.0.1:{port}"],
    }.get(part, [])
    with start("up", "--only", part, *arguments, MARKETING_SECRET_KEY=KEY) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"up: {part} alone, data in ")
        if part is OnePart.API:
            until(lambda: answers(f"http://127.0.0.1:{port}"), what="the API")
        elif arguments:
            until(lambda: listens(port), what=part)
        else:
            if part is OnePart.WORKER:
                assert process.stdout.readline().startswith("worker: ")
            else:
                until(
                    lambda: installation_has_heartbeat(installation),
                    what="the daemon",
                )
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)


def listens(port: int) -> bool:
    """Returns true if something accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def installation_has_heartbeat(installation: Installation) -> bool:
    """Returns true if a daemon has told Dagster's storage that it lives."""
    import sqlalchemy as sa

    from marketing_pipelines.stores.postgres import dagster_database_url

    engine = sa.create_engine(dagster_database_url(installation.settings))
    try:
        with engine.connect() as connection:
            return bool(
                connection.exec_driver_sql("select count(*) from daemon_heartbeats").scalar_one()
            )
    except sa.exc.ProgrammingError:
        return False
    finally:
        engine.dispose()
