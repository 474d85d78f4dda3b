"""The targets of routes: what takes a due action. A target is declared here and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from marketing_pipelines.domains.segments.rule_errors import similar
from marketing_pipelines.queueing import tasks

MAX_NUMBER = 2**63 - 1


class RouteTarget(Protocol):
    """A kind of receiver of actions."""

    def problem_of_name(self, name: str) -> str | None:
        """Returns why a route cannot lead to this name; None: it can."""
        ...

    def problem_of_payload(self, name: str, payload: Mapping[str, Any]) -> str | None:
        """Returns why an action cannot be led to this name; None: it can."""
        ...


@dataclass(frozen=True)
class TaskTarget:
    """Tasks that are declared with `callable=True`."""

    def problem_of_name(self, name: str) -> str | None:
        found = tasks.declared().get(name)
        if found is not None and found.payload is not None:
            return None
        known = [task.name for task in tasks.declared().values() if task.payload is not None]
        return (
            f"names '{name[:60]}', which is no task that actions may call; these are"
            f" {', '.join(sorted(known))}{similar(name, known)}"
        )

    def problem_of_payload(self, name: str, payload: Mapping[str, Any]) -> str | None:
        problem = self.problem_of_name(name)
        return f"the route {problem}" if problem else tasks.find(name).problem_of(payload)


@dataclass(frozen=True)
class JobTarget:
    """Jobs, whatever the payload."""

    def problem_of_name(self, name: str) -> str | None:
        from marketing_pipelines import registry
        from marketing_pipelines.domains import load_jobs

        load_jobs()
        known = list(registry.jobs())
        if name in known:
            return None
        return f"names '{name[:60]}', which is no job{similar(name, known)}"

    def problem_of_payload(self, name: str, payload: Mapping[str, Any]) -> str | None:
        return None


@dataclass(frozen=True)
class EndpointTarget:
    """Endpoints of webhooks, by number, whatever the payload.

    It is looked up when the action is due: until then it may be added, disabled or enabled.
    """

    def problem_of_name(self, name: str) -> str | None:
        if name.isascii() and name.isdecimal() and 0 < int(name) <= MAX_NUMBER:
            return None
        return f"names '{name[:60]}', which is no number of an endpoint: see `webhook list`"

    def problem_of_payload(self, name: str, payload: Mapping[str, Any]) -> str | None:
        return None


TARGETS: Mapping[str, RouteTarget] = {
    "job": JobTarget(),
    "task": TaskTarget(),
    "endpoint": EndpointTarget(),
}
