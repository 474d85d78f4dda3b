"""A wheel, installed where no checkout is, does everything that a checkout does."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines_tests.faults.running import Running
from marketing_pipelines_tests.scale import SOAK
from marketing_pipelines_tests.waiting import until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

ROOT = PACKAGE.parent
# In full, the wheel's own requirements are installed; in short, this environment lends them.
HEALTHY_SECONDS = 60


@dataclass(frozen=True)
class Wheel:
    """An environment with the wheel in it, and a folder to work in."""

    environment: Path
    folder: Path

    @property
    def command(self) -> Path:
        return self.environment / "bin" / "marketing-pipelines"

    @property
    def variables(self) -> dict[str, str]:
        own = {
            name: text for name, text in os.environ.items() if not name.startswith(("MARK", "DAG"))
        }
        return own | {"MARKETING_DATA_DIR": str(self.folder / "data")}

    def call(self, *arguments: str) -> str:
        """The output of the command; it must succeed."""
        done = subprocess.run(
            [str(self.command), *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def files(self) -> set[Path]:
        """The files of the installed package, without compiled ones."""
        [package] = self.environment.glob("lib/*/site-packages/marketing_pipelines")
        return {path for path in package.rglob("*") if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wheel]:
    """Built from this checkout and installed into an environment of its own."""
    built, environment = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("environment")
    python = [sys.executable, "-m"]
    subprocess.run(
        [*python, "hatchling", "build", "-t", "wheel", "-d", built], cwd=ROOT, check=True
    )
    [file] = built.glob("*.whl")
    subprocess.run([*python, "venv", "--without-pip", environment], check=True)
    lent = [] if SOAK else ["--no-deps", "--no-index"]
    if not SOAK:
        [site] = environment.glob("lib/*/site-packages")
        here = [place for place in sys.path if place.endswith("site-packages")]
        (site / "lent.pth").write_text("\n".join(here))
    subprocess.run(
        [*python, "pip", "--python", environment, "install", "--quiet", *lent, f"{file}[demo]"]
        + (["--constraint", ROOT / "constraints.txt"] if SOAK else []),
        check=True,
    )
    found = Wheel(environment, tmp_path_factory.mktemp("elsewhere"))
    yield found
    server = EmbeddedPostgres(found.folder / "data")
    home = server.pgdata.parent
    server.stop(force=True)
    shutil.rmtree(home, ignore_errors=True)


def is_ready(running: Running) -> bool:
    try:
        address = f"http://127.0.0.1:{running.api_port}/health/ready"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def has_ended(running: Running, token: str, session: int) -> bool:
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.api_port}/admin/sessions?job=development/sample_job",
        headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        rows = json.load(answer)
    [status] = [row["status"] for row in rows if row["id"] == session]
    assert status in ("QUEUED", "RUNNING", "COMPLETED")
    return bool(status == "COMPLETED")


def daemons(wheel: Wheel) -> list[psutil.Process]:
    """Dagster's daemons of the environment, whoever started them."""
    python = str(wheel.environment)
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if (line := process.info["cmdline"])
        and line[0].startswith(python)
        and "dagster._daemon" in line
    ]


def test_an_installed_wheel_works_from_any_folder(wheel: Wheel) -> None:
    installed = wheel.files()
    if SOAK:
        outcomes = wheel.call("demo").splitlines()
        assert not [line for line in outcomes if line.startswith("failed")]
    findings = wheel.call("doctor")
    assert {line.split()[0] for line in findings.splitlines()} == {"ok"}
    assert f"dagster instance: home {wheel.folder}/data/dagster" in findings
    if SOAK:
        assert "COMPLETED" in wheel.call("run", "development/sample_job")
        assert "sample_job" in wheel.call("timetable")
        up_works(wheel)
    assert wheel.files() == installed
    assert not (wheel.folder / ".env").exists()


def up_works(wheel: Wheel) -> None:
    """Twice; it is healthy in time, does what it is asked for and leaves nothing when killed."""
    token = wheel.call("token", "create", "--name", "test", "--scope", "admin").split()[-1]
    for _ in range(2):
        asked = time.monotonic()
        with Running.up(
            command=wheel.command, folder=wheel.folder, variables=wheel.variables
        ) as up:
            until(lambda up=up: is_ready(up), seconds=HEALTHY_SECONDS, what="the API")
            seconds = time.monotonic() - asked
            print(f"healthy after {seconds:.1f} s")
            assert seconds < HEALTHY_SECONDS
            session = up.trigger("development/sample_job", token)
            until(lambda up=up, s=session: has_ended(up, token, s), what="the job to end")
            assert len(daemons(wheel)) == 1
            up.process.kill()
            up.process.wait(30)
    until(lambda: not daemons(wheel), what="the daemon to end with its supervisor")
