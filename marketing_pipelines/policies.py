"""Policies: a job's schedule, time limit, retries and alerts.

A policy is part of the declaration of a job. `jobs.toml` in the data folder changes it for one
deployment, and the limits of queues too. The policy holds for every run of the job, however the run
is started.
"""

import datetime as dt
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from croniter import croniter
from pydantic import BaseModel, ConfigDict, Field, field_validator

from marketing_pipelines import jobs_file
from marketing_pipelines.installation_settings import TABLES
from marketing_pipelines.settings import get_settings

CatchUp = Literal["all", "once", "skip"]
Environment = Literal["development", "staging", "production"]
ALL_ENVIRONMENTS: tuple[str, ...] = ("development", "staging", "production")
# Largest number of seconds in `jobs.toml`; sums of larger ones would overflow.
MAX_SECONDS = 30 * 24 * 3600
MAX_RETRIES = 20
# A process holds some 200 MB before it begins to work.
MIN_MEMORY_MB, MAX_MEMORY_MB = 256, 1_048_576
DEFAULT_TIMEOUT = dt.timedelta(minutes=30)
MAX_AT_ONCE, MAX_PER_SECOND, MAX_KEPT_HOURS, MAX_KEPT_ROWS = 100, 10_000, 10_000, 10_000_000
# The table of `jobs.toml` with a table for each queue.
QUEUES = "queues"
# Keys for jobs with a schedule.
OF_SCHEDULES = ("enabled", "cron", "environments", "catch_up")


def fixed(times: int, seconds: float) -> tuple[float, ...]:
    """The same delay before each of `times` retries."""
    return (float(seconds),) * times


def exponential(times: int, first: float) -> tuple[float, ...]:
    """Delays that double: 1, 2, 4 s for three retries that begin with 1 s."""
    return tuple(float(first * 2**number) for number in range(times))


DEFAULT_RETRIES = exponential(3, 1)


@dataclass(frozen=True)
class Policy:
    """The schedule, limits and alerts of one job.

    Attributes:
        cron: Its schedule in five fields; None for an asset without one.
        retries: Seconds to wait before each retry; empty: a failure is final.
        alert: True if its owner is alerted of its failures and recoveries.
        enabled: True if its schedule is on; otherwise it can still be run by hand.
        environments: The environments in which its schedule is on.
        memory_mb: Largest resident memory of the run's process and its children, MB; None: no
            limit.
        needs: The setting without which its schedule is off, such as `backup_url`.
    """

    cron: str | None = None
    catch_up: CatchUp = "once"
    timeout: dt.timedelta = DEFAULT_TIMEOUT
    retries: tuple[float, ...] = DEFAULT_RETRIES
    alert: bool = True
    enabled: bool = True
    environments: tuple[str, ...] = ALL_ENVIRONMENTS
    memory_mb: int | None = None
    needs: str | None = None

    def __post_init__(self) -> None:
        unknown = set(self.environments) - set(ALL_ENVIRONMENTS)
        if unknown:
            raise ValueError(f"There is no environment {', '.join(sorted(unknown))}.")

    @property
    def longest(self) -> dt.timedelta:
        """The longest time of all attempts together, with the waits between them and a minute."""
        waits = dt.timedelta(seconds=sum(self.retries), minutes=1)
        return self.timeout * (1 + len(self.retries)) + waits

    @property
    def is_on(self) -> bool:
        """True if the job's schedule runs in this installation."""
        settings = get_settings()
        has_setting = self.needs is None or getattr(settings, self.needs) is not None
        return self.enabled and settings.env in self.environments and has_setting


class Override(BaseModel):
    """The changes that `jobs.toml` makes to one job."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    enabled: bool | None = None
    cron: str | None = None
    environments: list[Environment] | None = None
    catch_up: CatchUp | None = None
    timeout: float | None = Field(default=None, gt=0, le=MAX_SECONDS)
    retries: Any = None
    memory_mb: int | None = Field(default=None, ge=MIN_MEMORY_MB, le=MAX_MEMORY_MB)
    alert: bool | None = None

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str) -> str:
        return five_fields(value)

    @field_validator("retries")
    @classmethod
    def _delays(cls, value: Any) -> tuple[float, ...]:
        return _read_delays(value)

    def applied_to(self, policy: Policy) -> Policy:
        """The policy with these changes."""
        changes = {name: getattr(self, name) for name in self.model_fields_set}
        if self.timeout is not None:
            changes["timeout"] = dt.timedelta(seconds=self.timeout)
        if self.environments is not None:
            changes["environments"] = tuple(self.environments)
        return replace(policy, **changes)


class Kept(BaseModel):
    """The finished tasks of a queue that stay: younger than `hours`, and the latest `rows`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    hours: float = Field(gt=0, le=MAX_KEPT_HOURS)
    rows: int = Field(ge=0, le=MAX_KEPT_ROWS)


class QueueOverride(BaseModel):
    """The changes that `jobs.toml` makes to one queue.

    Attributes:
        per_second: Starts per second over all workers; 0: no limit.
        timeout: Seconds after which an attempt at one of its tasks is stopped.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    concurrency: int | None = Field(default=None, ge=1, le=MAX_AT_ONCE)
    per_second: int | None = Field(default=None, ge=0, le=MAX_PER_SECOND)
    retries: Any = None
    timeout: float | None = Field(default=None, gt=0, le=MAX_SECONDS)
    keep_completed: Kept | None = None
    keep_failed: Kept | Literal["always"] | None = None

    @field_validator("keep_failed", mode="before")
    @classmethod
    def _always_or_limits(cls, value: Any) -> Any:
        if value != "always" and not isinstance(value, dict):
            raise ValueError('must be "always" or { hours = 168, rows = 5000 }')
        return value

    @field_validator("retries")
    @classmethod
    def _delays(cls, value: Any) -> tuple[float, ...]:
        return _read_delays(value)


_DECLARED: dict[str, Policy] = {}


def declare(job: str, policy: Policy) -> Policy:
    """Registers the declared policy; returns the one that applies here."""
    _DECLARED[job] = policy
    return policy_of(job)


def declared(job: str) -> Policy:
    """Returns the policy declared for the asset, or the defaults."""
    return _DECLARED.get(job, Policy())


def policy_of(job: str) -> Policy:
    """Returns the policy that holds for the job in this installation.

    Raises:
        ConfigurationError: `jobs.toml` cannot be used.
    """
    override = overrides().get(job)
    return declared(job) if override is None else override.applied_to(declared(job))


def overrides() -> Mapping[str, Override]:
    """Returns the overrides of `jobs.toml` by job; none without such a file.

    Raises:
        ConfigurationError: it cannot be used; the sentence names the line.
    """
    return _read(jobs_file.current())


def queue_overrides() -> Mapping[str, QueueOverride]:
    """Returns the overrides of `jobs.toml` by queue; none without such a file.

    Raises:
        ConfigurationError: it cannot be used; the sentence names the line.
    """
    return _read_queues(jobs_file.current())


def require_known_queues(names: Collection[str]) -> None:
    """Refuses overrides of unknown queues.

    Args:
        names: Every known queue.

    Raises:
        ConfigurationError: `jobs.toml` names another one.
    """
    for name in queue_overrides():
        if name not in names:
            reason = f"there is no queue '{name}', only {', '.join(sorted(names))}"
            jobs_file.refuse(jobs_file.current(), f"{QUEUES}.{name}", None, reason)


def require_known(jobs: Mapping[str, bool], partitioned: Collection[str]) -> None:
    """Refuses overrides of unknown jobs, and keys that a job cannot have.

    Args:
        jobs: Every known job, with True if it has a schedule.
        partitioned: The jobs with partitions, which catch up every partition that was never done.
    """
    path = jobs_file.current()
    for job, override in overrides().items():
        if job not in jobs:
            reason = f"there is no job '{job}'; docs/timetable.md lists them"
            jobs_file.refuse(path, job, None, reason)
        without_schedule = [key for key in OF_SCHEDULES if key in override.model_fields_set]
        if without_schedule and not jobs[job]:
            jobs_file.refuse(path, job, without_schedule[0], f"{job} has no schedule to change")
        if override.catch_up and (override.catch_up == "all") != (job in partitioned):
            can = "only all" if job in partitioned else "once or skip"
            jobs_file.refuse(path, job, "catch_up", f"{job} can catch up {can}")


def five_fields(cron: str) -> str:
    """The cron in five fields; six are accepted where the first, the second, is 0.

    Raises:
        ValueError: it is no cron, or fires at another second than 0.
    """
    fields = cron.split()
    if len(fields) == 6 and fields[0] != "0":
        raise ValueError(
            f"'{cron}' has six fields and its second is {fields[0]}: schedules fire at second 0"
        )
    fields = fields[-5:] if len(fields) == 6 else fields
    if any(re.search(r"\br\b", field, re.IGNORECASE) for field in fields):
        raise ValueError(f"'{cron}' has an R, which is another time whenever it is read")
    if len(fields) != 5 or not croniter.is_valid(" ".join(fields)):
        raise ValueError(f"'{cron}' is no cron of five fields such as '30 2 * * 1-5'")
    return " ".join(fields)


@cache
def _read(path: Path) -> Mapping[str, Override]:
    return {
        job: jobs_file.validated(path, job, values, Override, '["upkeep/run_history"]')
        for job, values in jobs_file.document(path).items()
        if job not in TABLES and job != QUEUES
    }


@cache
def _read_queues(path: Path) -> Mapping[str, QueueOverride]:
    example = f'[{QUEUES}."crm-events"]'
    tables = jobs_file.document(path).get(QUEUES, {})
    reason = f"each queue has a table of its own, such as {example}"
    if not isinstance(tables, dict):
        jobs_file.refuse(path, None, QUEUES, reason)
    for name, values in tables.items():
        if not isinstance(values, dict):
            jobs_file.refuse(path, QUEUES, name, reason)
    return {
        name: jobs_file.validated(path, f"{QUEUES}.{name}", values, QueueOverride, example)
        for name, values in tables.items()
    }


def _read_delays(value: Any) -> tuple[float, ...]:
    match value:
        case list() if all(_is_delay(delay) for delay in value):
            return tuple(float(delay) for delay in value)
        case {"times": times, "fixed": delay, **rest} if _is_rule(times, delay, rest):
            return fixed(times, delay)
        case {"times": times, "exponential": delay, **rest} if _is_rule(times, delay, rest):
            return exponential(times, delay)
    raise ValueError(
        "must be a list of seconds such as [1, 5, 30], { times = 3, fixed = 5 } or "
        "{ times = 3, exponential = 1 }"
    )


def _is_delay(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and 0 <= value <= MAX_SECONDS
    )


def _is_rule(times: Any, delay: Any, rest: Mapping[Any, Any]) -> bool:
    return not rest and type(times) is int and 0 <= times <= MAX_RETRIES and _is_delay(delay)
