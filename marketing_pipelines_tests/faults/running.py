"""`marketing-pipelines up` as an operator has it: a process with everything below it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.cli.console import COMMAND, environment
from marketing_pipelines_tests.waiting import until

LAUNCH = """
mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""


@dataclass
class Running:
    """`up` and what it printed so far."""

    process: "subprocess.Popen[str]"
    port: int
    api_port: int
    lines: list[str] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def up(
        cls,
        *,
        command: Path = COMMAND,
        folder: Path | None = None,
        variables: Mapping[str, str] | None = None,
        ports: tuple[int, int] | None = None,
    ) -> Iterator["Running"]:
        """Started, its web server answering; killed with everything below it at the end.

        Args:
            command: The console script of the environment to use.
            folder: Where it is started.
            variables: Its whole environment; None: that of the test.
            ports: Those of the web server and the API; None: free ones.
        """
        port, api_port = ports or (free_port(), free_port())
        process = subprocess.Popen(
            [str(command), "up", "--port", str(port), "--api-port", str(api_port)],
            env=environment({}) if variables is None else variables,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running = cls(process, port, api_port)
        reader = threading.Thread(target=running._read, daemon=True)
        reader.start()
        try:
            until(running.answers, seconds=120, what="the web server to answer")
            yield running
        except BaseException:
            running.tell()
            raise
        finally:
            running.kill()
            process.wait(30)
            reader.join(30)
            assert process.stdout is not None
            process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    def tell(self) -> None:
        """Prints what is needed to understand a failure: runs, sessions and its own last lines."""
        with contextlib.suppress(Exception), dg.DagsterInstance.get() as instance:
            for record in instance.get_run_records(limit=30):
                run, created = record.dagster_run, record.create_timestamp
                times = (f"{created:%H:%M:%S.%f}", record.start_time, record.end_time)
                print("run", run.run_id, run.job_name, run.status.value, *times)
        with (
            contextlib.suppress(Exception),
            create_engine(database_url(get_settings())).connect() as connection,
        ):
            for row in connection.exec_driver_sql(
                "select id, job, partition, trigger, tick, run_id, status, error, started_at,"
                " ended_at from ops.job_sessions order by id desc limit 30"
            ):
                print("session", *row)
        print("".join(self.lines[-100:]))

    def said(self, words: str) -> bool:
        """True if a line of it has these words."""
        return any(words in line for line in self.lines)

    def answers(self) -> bool:
        assert self.process.poll() is None, "".join(self.lines)
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            answer = self.ask("{ repositoriesOrError { __typename } }", {})
            return bool(answer["repositoriesOrError"]["__typename"] == "RepositoryConnection")
        return False

    def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Asks the server as a page of Dagster's UI does."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            data: dict[str, Any] = json.load(response)["data"]
            return data

    def launch(self, job: str) -> str:
        """Does the same as a click on "Launch run"; returns the run."""
        parameters = {
            "selector": {
                "repositoryLocationName": "marketing_pipelines",
                "repositoryName": "__repository__",
                "jobName": job,
            },
            "runConfigData": {},
        }
        answer = self.ask(LAUNCH, {"parameters": parameters})["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def trigger(self, job: str, token: str) -> int:
        """Starts a job through the API; returns its session."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.api_port}/admin/jobs/{job}/trigger",
            method="POST",
            headers={"Authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 202
            return int(json.load(response)["session_id"])

    def tree(self) -> list[psutil.Process]:
        """Every process below it, and itself."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def part(self, word: str) -> psutil.Process:
        """The part whose command has the word."""
        children = psutil.Process(self.process.pid).children()
        [found] = [child for child in children if word in child.cmdline()]
        return found

    def kill(self) -> list[psutil.Process]:
        """SIGKILL of the whole tree at once, as when the machine's memory runs out."""
        with contextlib.suppress(psutil.NoSuchProcess):
            tree = self.tree()
            for process in tree:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGSTOP)
            tree += [p for p in self.tree() if p not in tree]
            for process in tree:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs([p for p in tree if p.pid != self.process.pid], timeout=10)
            return tree
        return []

    def stop(self, number: signal.Signals) -> float:
        """Signals the supervisor alone; the seconds until it ended."""
        asked = time.monotonic()
        os.kill(self.process.pid, number)
        self.process.wait(30)
        return time.monotonic() - asked


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def sleeping(variables: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that does nothing until the block ends."""
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        env=os.environ | variables,
    )
    try:
        yield sleeper
    finally:
        sleeper.kill()
        sleeper.communicate()
