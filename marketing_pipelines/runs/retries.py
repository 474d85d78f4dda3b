"""Decides for a failed attempt: retry after a delay, or final failure."""

import contextlib
from collections.abc import Iterator

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines.failures import (
    MarketingPipelinesError,
    PermanentError,
    TimedOutError,
    UpstreamNotReadyError,
)
from marketing_pipelines.freshness.partitions import registered
from marketing_pipelines.policies import policy_of
from marketing_pipelines.redaction import redact, redacted_error
from marketing_pipelines.runs import sentry
from marketing_pipelines.runs.tags import SCHEDULED_TAG, TICK_TAG


@contextlib.contextmanager
def retrying(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Permanent errors fail at once; others are tried again after the delays of the policy."""
    try:
        yield
    except (dg.Failure, dg.RetryRequested, dg.DagsterExecutionInterruptedError):
        raise
    except Exception as error:
        sentence = redact(sentence_of(error))
        delay = delay_before_retry(context, error)
        if delay is None:
            run = context.run
            tick = run.tags.get(TICK_TAG) or run.tags.get(SCHEDULED_TAG) or "unscheduled"
            job = context.asset_key.to_user_string()
            # The run's process ends right after its failure.
            tags = {"job": job, "tick": tick, "run": run.run_id}
            sentry.report(error, tags, wait=True)
            raise dg.Failure(sentence, allow_retries=False) from redacted_error(error)
        context.log.warning(f"{sentence} Trying again in {delay:g} s.")
        raise dg.RetryRequested(
            max_retries=context.retry_number + 1, seconds_to_wait=delay
        ) from redacted_error(error)


def delay_before_retry(context: dg.AssetExecutionContext, error: BaseException) -> float | None:
    """Returns the seconds to wait before the retry; None: there is none."""
    if isinstance(error, dg.RetryRequested):
        return float(error.seconds_to_wait or 0)
    job = context.asset_key.to_user_string()
    if isinstance(error, UpstreamNotReadyError) and job in registered():
        return None  # Marks ask for the work again when its sources are ready.
    if isinstance(error, (PermanentError, dg.Failure)) or not isinstance(error, Exception):
        return None
    delays = policy_of(job).retries
    return delays[context.retry_number] if context.retry_number < len(delays) else None


def failed_status(error: BaseException) -> str:
    """Returns the status of a session that ended with an error."""
    if isinstance(error, (KeyboardInterrupt, dg.DagsterExecutionInterruptedError)):
        return "CANCELED"
    of_statement = isinstance(error, sa.exc.OperationalError) and "statement timeout" in str(error)
    return "TIMED_OUT" if of_statement or isinstance(error, TimedOutError) else "FAILED"


def why_canceled(context: dg.AssetExecutionContext, error: BaseException) -> str:
    """Names the person or process that ended a run."""
    if isinstance(error, KeyboardInterrupt):
        return "It was stopped by Ctrl-C."
    run = context.instance.get_run_by_id(context.run.run_id)
    if run is None or run.status is not dg.DagsterRunStatus.CANCELING:
        return "Its process received a signal to end: `up`, the daemon or the machine stopped."
    asked = context.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_CANCELING)
    reason = asked[-1].message if asked else ""
    if "maximum runtime" in reason:
        return f"Dagster canceled its run: {reason.rstrip('.')}."
    return "Its run was canceled in the Dagster UI, on its command line or by its API."


def sentence_of(error: BaseException) -> str:
    """One sentence for the session; secrets may be in it."""
    if isinstance(error, MarketingPipelinesError):
        return str(error)
    text = str(error.orig) if isinstance(error, sa.exc.DBAPIError) else str(error)
    first_line = text.strip().splitlines()[0] if text.strip() else "no message"
    return f"{type(error).__name__}: {first_line}"
