"""`open_tick`: the one frame around the work of every asset.

It works the same for schedule, sensor, backfill, click and command line: it finds the instant and
the partitions, opens and closes the session, and turns errors into Dagster's failures and retries.
"""

import contextlib
import datetime as dt
import logging
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines.failures import (
    SkippedOverlapError,
    TimedOutError,
    UpstreamNotReadyError,
)
from marketing_pipelines.freshness import partitions, propagation, stale_partitions
from marketing_pipelines.freshness.partitions import (
    Grain,
    Window,
)
from marketing_pipelines.policies import policy_of
from marketing_pipelines.runs import materializations, sessions
from marketing_pipelines.runs.items import ItemFailures
from marketing_pipelines.runs.memory_limits import memory_limit
from marketing_pipelines.runs.retries import (
    delay_before_retry,
    failed_status,
    retrying,
    sentence_of,
    why_canceled,
)
from marketing_pipelines.runs.tags import (
    MAX_RUNTIME_TAG,
    ONLY_MARKED_TAG,
    SESSION_TAG,
    instant_of,
    trigger_of,
)
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.runs.timeouts import SILENCE, limit_server, time_limit
from marketing_pipelines.stores.postgres import connecting
from marketing_pipelines.stores.schema import require_usable

_logger = logging.getLogger(__name__)


@contextlib.contextmanager
def open_tick(
    engine: sa.Engine, zone: ZoneInfo, context: dg.AssetExecutionContext
) -> Iterator[Tick]:
    """Opens the frame for one asset in one run.

    Raises:
        dg.Failure: the work failed for good, or for the last time.
        dg.RetryRequested: it failed and will be tried again after the next of its policy's delays.
    """
    with retrying(context), connecting(engine.url), engine.connect() as connection:
        job = context.asset_key.to_user_string()
        tags = context.run.tags
        policy = policy_of(job)
        timeout = policy.timeout
        if MAX_RUNTIME_TAG in tags:
            timeout = min(timeout, dt.timedelta(seconds=float(tags[MAX_RUNTIME_TAG])))
        windows = _windows(context, zone)
        if ONLY_MARKED_TAG in tags:
            windows = _still_needed(connection, job, windows, zone)
        instant = instant_of(context)
        require_usable(connection, zone)
        if context.retry_number:
            sessions.end_earlier_attempts(connection, job, context.run.run_id)
        sessions.close_abandoned(connection)
        session_id = sessions.open_session(
            connection,
            job=job,
            trigger=trigger_of(tags),
            tick=instant,
            partition=_partition_label(context),
            run_id=context.run.run_id,
            queued=int(tags[SESSION_TAG]) if SESSION_TAG in tags else None,
        )
        limit_server(connection, timeout)
        connection.commit()
        sessions.reset_peak_memory()
        current = Tick(
            job=job,
            instant=instant,
            zone=zone,
            windows=windows,
            connection=connection,
            session_id=session_id,
            context=context,
            failures=ItemFailures(job, instant),
            timeout=timeout,
        )
        from structlog import contextvars  # with Rich, which definitions do not need

        bound = contextvars.bound_contextvars(
            job=job, tick=instant.isoformat(), run=context.run.run_id, session=session_id
        )
        limits = time_limit(job, timeout), memory_limit(job, policy.memory_mb)
        with bound, _session_closed(current), limits[0], limits[1]:
            yield current
            current.failures.note_failing(connection)
            current.failures.raise_if_all_failed()
            current.count_table()


@contextlib.contextmanager
def _session_closed(current: Tick) -> Iterator[None]:
    """Writes the end of the session; an overlap is an end, not an error."""
    try:
        yield
    except SkippedOverlapError as skipped:
        current.skipped = skipped.holder_run_id or "unknown"
        with time_limit(current.job, SILENCE):
            _close(current, "SKIPPED_OVERLAP", str(skipped))
    except BaseException as error:
        # A connection that is silent would keep the run here for ever.
        unwritten = (sa.exc.DBAPIError, sa.exc.InvalidRequestError, TimedOutError)
        with contextlib.suppress(*unwritten), time_limit(current.job, SILENCE):
            is_marked = isinstance(error, UpstreamNotReadyError) and _leave_to_marks(current)
            _close(
                current,
                failed_status(error),
                _reason(current, error),
                will_retry=is_marked or delay_before_retry(current.context, error) is not None,
            )
        if materializations.is_deferred(current.context.run.tags) and current.done:
            materializations.report(current.context, current.done, {"session": current.session_id})
        raise
    else:
        with time_limit(current.job, SILENCE):
            _close(current, "COMPLETED", None)


def _leave_to_marks(current: Tick) -> bool:
    """Marks the remaining partitions, and those of their sources that were never done.

    Returns:
        True if it did: only registered assets have marks.
    """
    asset = partitions.registered().get(current.job)
    if asset is None:
        return False
    left = [w for w in current.windows if w.key not in current.done]
    current.connection.rollback()
    propagation.mark(current.connection, asset, left, now=current.instant, zone=current.zone)
    current.connection.commit()
    return True


def _reason(current: Tick, error: BaseException) -> str:
    """One sentence, and of a range how much of it is done."""
    status = failed_status(error)
    sentence = why_canceled(current.context, error) if status == "CANCELED" else sentence_of(error)
    if len(current.windows) < 2:
        return sentence
    return f"{sentence.rstrip('.')}. {current.progress}"


def _close(current: Tick, status: str, error: str | None, *, will_retry: bool = False) -> None:
    current.connection.rollback()
    numbers = {name: one for name, one in current.metadata.items() if isinstance(one, int | float)}
    sessions.close_session(
        current.connection,
        current.session_id,
        status=status,
        error=error,
        will_retry=will_retry,
        cpu_seconds=current.cpu_seconds,
        items_ok=current.failures.ok or None,
        items_failed=current.failures.failed or None,
        metadata={"rows": current.rows, "partitions": len(current.windows)} | numbers,
    )
    current.connection.commit()
    _logger.info("Session ended as %s.", status, extra={"reason": error} if error else None)


def _grain_of(definition: dg.PartitionsDefinition[Any]) -> Grain:
    """Hour, day or month."""
    if isinstance(definition, dg.HourlyPartitionsDefinition):
        return "hour"
    if isinstance(definition, dg.DailyPartitionsDefinition):
        return "day"
    return "month"


def _windows(context: dg.AssetExecutionContext, zone: ZoneInfo) -> list[Window]:
    if not context.has_partition_key and not context.has_partition_key_range:
        return []
    grain = _grain_of(context.assets_def.partitions_def)
    return [partitions.window(grain, key, zone) for key in context.partition_keys]


def _still_needed(
    connection: sa.Connection, job: str, windows: list[Window], zone: ZoneInfo
) -> list[Window]:
    """The marked ones; partitions that wait for others stay marked and are requested again."""
    asset = partitions.registered().get(job)
    if asset is None:
        marked = {
            m.partition for m in stale_partitions.seen(connection, job, [w.key for w in windows])
        }
        return [w for w in windows if w.key in marked]
    ready = set(propagation.ready_windows(stale_partitions.pending(connection), asset, zone))
    return [w for w in windows if w in ready]


def _partition_label(context: dg.AssetExecutionContext) -> str | None:
    if not context.has_partition_key and not context.has_partition_key_range:
        return None
    first, last = context.partition_key_range
    return first if first == last else f"{first}...{last}"
