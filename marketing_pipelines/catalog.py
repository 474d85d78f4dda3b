"""What the loaded definitions consist of: every job with its owner, and the files left out.

`definitions` fills it when it is imported; layers below it read it here.
"""

import importlib
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
left_out: dict[str, str] = {}
# Files below `domains` that define something of Dagster in a place that is not loaded.
unloaded: list[str] = []
_JOBS: dict[str, Job] = {}


def fill(jobs: list[Job]) -> None:
    """Notes the jobs of the definitions just loaded."""
    _JOBS.clear()
    _JOBS.update({job.key: job for job in jobs})


def jobs() -> dict[str, Job]:
    """Every job by its key; whoever asks first has the definitions loaded."""
    if not _JOBS:
        importlib.import_module("marketing_pipelines.definitions")
    return _JOBS


def owner_of(subject: str) -> str | None:
    """Whose job it is, of `overdue analytics/warehouse` too; None for what is no job."""
    found = jobs().get(subject.split()[-1])
    return found.owner if found else None
