"""A real Dagster daemon on the installation of a test."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from marketing_pipelines.locations import WORKSPACE_FILE, configuration_file
from marketing_pipelines.settings import get_settings


@contextlib.contextmanager
def daemon(log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The daemon with its code server; gone at the end, with what it started.

    Args:
        log: File that takes what it prints.
    """
    command = [sys.executable, "-W", "ignore", "-m", "dagster._daemon", "run"]
    options = ["-w", str(configuration_file(WORKSPACE_FILE)), "--code-server-log-level", "warning"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*command, *options],
            # Not the checkout: its `.env` would win over the environment.
            cwd=get_settings().data_dir,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
