"""The console script as a user calls it: a process, its exit code and what it prints."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from marketing_pipelines.cli.main import main
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.forking import Forked

COMMAND = Path(sys.executable).with_name("marketing-pipelines")


def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `marketing-pipelines`; `variables` come on top of the environment."""
    with start(*arguments, **variables) as process:
        out, err = process.communicate(timeout=240)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def call_here(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The same as `call`, of the command's entry point in this process: six times faster.

    Not for what a process decides when it starts: its definitions, signals, account and folder.
    """
    out, err = io.StringIO(), io.StringIO()
    code: int | str | None = 0
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(variables).items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["marketing-pipelines", *arguments])
        get_settings.cache_clear()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as end:
            code = end.code
        finally:
            get_settings.cache_clear()
    return subprocess.CompletedProcess(
        arguments, code if isinstance(code, int) else 0, out.getvalue(), err.getvalue()
    )


@contextlib.contextmanager
def start(*arguments: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Starts it, as leader of a group of its own; killed at the end if it still runs."""
    with Forked(
        "marketing_pipelines",
        *arguments,
        env=environment(variables),
        quiet=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def refusal_here(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    """The same as `refusal`, of the command's entry point in this process: six times faster."""
    # Earlier work of this process may have been logged.
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["marketing-pipelines", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == code
    return only_sentence(capsys.readouterr().err)


def printed_here(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The output of the command, by its entry point in this process: it must succeed."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["marketing-pipelines", *arguments])
        with contextlib.suppress(SystemExit):
            main()
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def bytes_of(*arguments: str) -> bytes:
    """The output of the command into a pipe; it must succeed."""
    with start(*arguments) as process:
        assert process.stdout is not None
        written = process.stdout.buffer.read()
        assert process.wait(60) == 0, process.communicate()[1]
    return written


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    return os.environ | variables


def refusal(*arguments: str, **variables: str) -> str:
    """The one sentence with which the command must end, exit code 1, no traceback."""
    done = call(*arguments, **variables)
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    return only_sentence(done.stderr)


def only_sentence(errors: str) -> str:
    """The text after the command's name in the one line of stderr."""
    assert len(errors.splitlines()) == 1, errors
    [line] = errors.splitlines()
    assert line.startswith("marketing-pipelines: ")
    assert line.endswith("."), line
    return line.removeprefix("marketing-pipelines: ")
