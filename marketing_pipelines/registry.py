"""What the loaded definitions consist of: every job with its owner, and the files left out.

`definitions` fills it when it is imported; layers below it read it here.
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass

from marketing_pipelines import policies
from marketing_pipelines.policies import Policy


@dataclass(frozen=True)
class Job:
    """One asset that can be run.

    Attributes:
        owner: As on the asset, e.g. `team:analytics`.
        file: Where it is written, `path:line` below the project's root.
    """

    key: str
    owner: str
    file: str

    @property
    def policy(self) -> Policy:
        """What holds for it in this installation."""
        return policies.policy_of(self.key)


# Why each file that is left out cannot be imported, by module.
import_errors: dict[str, str] = {}
# Files below `domains` that define something of Dagster in a place that is not loaded.
unloaded: list[str] = []
_JOBS: dict[str, Job] = {}
_INSTIGATORS: set[str] = set()


def fill(jobs: list[Job], instigators: Iterable[str]) -> None:
    """Notes the jobs of the definitions just loaded, and the names of schedules and sensors."""
    _JOBS.clear()
    _JOBS.update({job.key: job for job in jobs})
    _INSTIGATORS.clear()
    _INSTIGATORS.update(instigators)


def jobs() -> dict[str, Job]:
    """Every job by its key; the first call loads the definitions."""
    _load()
    return _JOBS


def instigators() -> set[str]:
    """The names of all schedules and sensors; the first call loads the definitions."""
    _load()
    return _INSTIGATORS


def _load() -> None:
    if not _JOBS:
        importlib.import_module("marketing_pipelines.definitions")


def owner_of(subject: str) -> str | None:
    """Whose job it is, of `overdue analytics/warehouse` too; None for what is no job."""
    found = jobs().get(subject.split()[-1])
    return found.owner if found else None
