"""Attempts without the pauses between them, which would be most of the time of some tests."""

from dagster._core.execution.plan.active import ActiveExecution

_mark_up_for_retry = ActiveExecution.mark_up_for_retry


def retry_at_once() -> None:
    """Has Dagster try again at once in this process.

    What it is asked to wait is in its events.
    """

    def without_time(self: ActiveExecution, step_key: str, at_time: float | None = None) -> None:
        _mark_up_for_retry(self, step_key)

    ActiveExecution.mark_up_for_retry = without_time  # type: ignore[method-assign]
