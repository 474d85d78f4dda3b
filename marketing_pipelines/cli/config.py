"""`config apply`, and the changes of `jobs.toml` that `up` and commands of their own apply."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Annotated

import typer

from marketing_pipelines import jobs_file
from marketing_pipelines.cli import running_up
from marketing_pipelines.cli.session import connected
from marketing_pipelines.cli.supervision import MARK
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.runs import incidents
from marketing_pipelines.settings import get_settings

APPLY = [sys.executable, "-W", "ignore", "-m", "marketing_pipelines", "config", "apply"]
# The first word of the subject of its incident.
INCIDENT = "settings"
# Seconds between two looks of `up` at the file.
LOOKS_EVERY = 10.0
app = typer.Typer(no_args_is_help=True)


@app.callback()
def options() -> None:
    """Apply changes of `jobs.toml`."""


@app.command()
def apply(
    alert: Annotated[
        bool, typer.Option(help="Alert the operators, once, if it cannot be used.")
    ] = False,
) -> None:
    """Validate `jobs.toml` and put it into force; restart the processes to use it."""
    from marketing_pipelines.domains import load_jobs

    jobs_file.read_edited()
    problem = None
    try:
        load_jobs()
    except ConfigurationError as error:
        problem = error
    is_new = problem is None and not jobs_file.is_applied()
    if is_new:
        jobs_file.apply()
    if alert:
        with connected() as (_, engine), engine.begin() as connection:
            found = {} if problem is None else {"jobs.toml": str(problem)}
            incidents.set_lasting(connection, INCIDENT, found)
    if problem is not None:
        raise problem
    print("jobs.toml is in force." if is_new else "jobs.toml was in force already.")


def apply_alone() -> None:
    """Applies a changed file, unless `up` does so: the work of a command before its first look.

    A file that cannot be used is named on stderr, and the copy holds.
    """
    settings = get_settings()
    if jobs_file.content(jobs_file.active()) is None or jobs_file.is_applied():
        return
    if MARK in os.environ or running_up.found(settings) is not None:
        return
    try:
        apply_changed()
    except ConfigurationError as error:
        sys.stderr.write(f"marketing-pipelines: {error} The former settings hold.\n")


def apply_changed() -> None:
    """Applies the file, if it has changed, in a process that loads the jobs.

    Raises:
        ConfigurationError: the file cannot be used; the sentence names the line.
    """
    if not jobs_file.is_applied():
        done = subprocess.run(APPLY, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ConfigurationError(_sentence(done.stderr))


@dataclass
class Watch:
    """The looks of a running `up` at the file."""

    running: bytes | None
    seen: bytes | None
    process: "subprocess.Popen[str] | None" = field(default=None, init=False)
    looked_at: float = field(default_factory=time.monotonic, init=False)

    @classmethod
    def begin(cls) -> "Watch":
        """Begins with the copy that the parts start with."""
        settings = get_settings()
        running = jobs_file.content(jobs_file.active())
        return cls(running, jobs_file.content(settings.jobs_file))

    def look(self) -> tuple[bool, str | None]:
        """Looks, and applies a change in a process of its own.

        Returns:
            True if the parts run with another copy than the one in force; a sentence to print.
        """
        settings = get_settings()
        said = None
        if self.process is not None and self.process.poll() is not None:
            _, errors = self.process.communicate()
            if self.process.returncode:
                said = f"{_sentence(errors)} The former settings hold."
            self.process = None
        elif self.process is None and time.monotonic() - self.looked_at > LOOKS_EVERY:
            self.looked_at = time.monotonic()
            edited = jobs_file.content(settings.jobs_file)
            if edited != self.seen:
                self.seen = edited
                self.process = subprocess.Popen(
                    [*APPLY, "--alert"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
        active = jobs_file.content(jobs_file.active())
        has_changed, self.running = active != self.running, active
        return has_changed, said


def _sentence(errors: str) -> str:
    lines = errors.strip().splitlines()
    return lines[-1].removeprefix("marketing-pipelines: ") if lines else "It cannot be read."
