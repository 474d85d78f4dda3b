"""The registry: every job of the loaded domains, with its owner, and the files that failed to load.

Declaring a job fills it (`jobs.domain`). Layers below the domains read the jobs here; processes
that need them load the domains first (`domains.load_jobs`).
"""

from dataclasses import dataclass
from enum import StrEnum

from marketing_pipelines import policies
from marketing_pipelines.policies import Policy


class Team(StrEnum):
    """The owners of jobs, as Dagster and the alert routes name them."""

    ANALYTICS = "team:analytics"
    DELIVERABILITY = "team:deliverability"
    LIFECYCLE = "team:lifecycle"
    PLATFORM = "team:platform"
    REVENUE = "team:revenue"


@dataclass(frozen=True)
class Job:
    """One asset that can be run.

    Attributes:
        key: Asset key, e.g. `analytics/hourly_events`.
        owner: As on the asset, e.g. `team:analytics`.
        file: Its source, `path:line` below the project's root.
        module: The module that declares it.
    """

    key: str
    owner: str
    file: str
    module: str

    @property
    def policy(self) -> Policy:
        """The policy that holds for it in this installation."""
        return policies.policy_of(self.key)


# The reason why each file cannot be imported, by module.
import_errors: dict[str, str] = {}
# Files of the domains that define something of Dagster in a place that is not loaded.
unloaded: list[str] = []
# The names of all schedules and sensors.
instigators: set[str] = set()
_JOBS: dict[str, Job] = {}


def add(job: Job) -> None:
    """Registers a job.

    Raises:
        ValueError: another module declares a job of this key.
    """
    known = _JOBS.get(job.key)
    if known is not None and known.module != job.module:
        raise ValueError(f"{job.key} is declared in {known.file} already.")
    _JOBS[job.key] = job


def remove_module(module: str) -> None:
    """Removes the jobs of a module that failed to import."""
    for key in [job.key for job in _JOBS.values() if job.module == module]:
        del _JOBS[key]


def registered() -> dict[str, Job]:
    """The jobs registered so far, by key."""
    return _JOBS


def jobs() -> dict[str, Job]:
    """Every registered job by its key.

    Raises:
        RuntimeError: the domains are not loaded yet.
    """
    if not _JOBS:
        raise RuntimeError("No job is registered: call domains.load_jobs() first.")
    return _JOBS


def owner_of(subject: str) -> str | None:
    """The owner of a job, also of `overdue analytics/warehouse`, and of lines of messages.

    None: the subject has no owner.
    """
    if subject.startswith(("line ", "sending-domain ")):
        return Team.DELIVERABILITY
    found = jobs().get(subject.split()[-1])
    return found.owner if found else None
