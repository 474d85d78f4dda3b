"""A program given as text, in a forked process: `python -m …given_program PROGRAM ARGUMENT…`."""

import os
import subprocess
import sys
from typing import Any

from marketing_pipelines_tests.forking import Forked


def start(program: str, *arguments: str, variables: Any = None, **streams: Any) -> Forked:
    """Starts it as `python -c` does; `variables` come on top of the environment."""
    env = os.environ | (variables or {})
    return Forked(__name__, program, *arguments, env=env, **streams)


def run(
    program: str, *arguments: str, stderr: int = subprocess.PIPE, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Runs it to its end."""
    streams = {"stdout": subprocess.PIPE, "stderr": stderr}
    with start(program, *arguments, variables=variables, **streams) as process:
        out, err = process.communicate(timeout=240)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def printed(program: str, *arguments: str, **variables: str) -> str:
    """Its output; it must succeed."""
    done = run(program, *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


if __name__ == "__main__":
    text = sys.argv.pop(1)
    exec(compile(text, "<given>", "exec"), {"__name__": "__main__"})  # noqa: S102
