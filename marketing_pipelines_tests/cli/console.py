"""The console script as a user calls it: a process, its exit code and what it prints."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COMMAND = Path(sys.executable).with_name("marketing-pipelines")


def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `marketing-pipelines`; `variables` come on top of the environment."""
    return subprocess.run(
        [str(COMMAND), *arguments],
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def start(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
    """Starts it, as leader of a group of its own."""
    return subprocess.Popen(
        [str(COMMAND), *arguments],
        env=environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    return os.environ | variables


def refusal(*arguments: str, **variables: str) -> str:
    """The one sentence with which the command must end, exit code 1, no traceback."""
    done = call(*arguments, **variables)
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("marketing-pipelines: ")
    sentence = lines[0].removeprefix("marketing-pipelines: ")
    assert sentence.endswith(".")
    assert "Traceback" not in done.stdout + done.stderr
    return sentence
