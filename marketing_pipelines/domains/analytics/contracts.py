"""Contracts between the numbers, verified inside the transaction that publishes them.

A contract that is broken is an exception: the transaction rolls back and readers keep the old
rows. A warning is about the events, not about our counting, and stops nothing.
"""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.failures import ContractViolationError, UpstreamNotReadyError
from marketing_pipelines.freshness.partitions import Window
from marketing_pipelines.runs.checks import Check, CheckOutcome

ROWS_MATCH_SOURCE = Check("rows_match_source", "As many events in the files as in the table")
RECEIVED_AFTER_OCCURRED = Check(
    "received_after_occurred", "No event was received before it happened", blocking=False
)
UNIQUES_WITHIN_EVENTS = Check("uniques_within_events", "Never more contacts than events")
HOURS_ADD_UP = Check("hours_add_up", "The hours' events add up to the day's")
DAYS_ADD_UP = Check("days_add_up", "The days' events add up to the month's")
FUNNEL_IS_PLAUSIBLE = Check(
    "funnel_is_plausible",
    "Delivered ≤ sent; opens and clicks only of sent messages",
    blocking=False,
)


def verify(
    connection: sa.Connection,
    check: Check,
    statement: str,
    parameters: Mapping[str, Any],
    sentence: str,
) -> CheckOutcome:
    """Runs `sql/contract_<statement>.sql`, which returns the rows that break the contract.

    Raises:
        ContractViolationError: it returns a row; the text is the sentence with the row's values.
    """
    row = (
        connection.execute(sa.text(_sql(f"contract_{statement}")), dict(parameters))
        .mappings()
        .first()
    )
    if row is not None:
        raise ContractViolationError(sentence.format(**row))
    return check.passed()


def uniques_within_events(
    connection: sa.Connection, table: str, parameters: Mapping[str, Any]
) -> CheckOutcome:
    """Distinct contacts never outnumber events."""
    return verify(
        connection,
        UNIQUES_WITHIN_EVENTS,
        f"uniques_within_events_{table}",
        parameters,
        "Organization {organization_id} has {unique_contacts} contacts in {event_count} events of "
        "type {event_type} in {label}: nothing was published.",
    )


def hours_add_up_to_days(
    connection: sa.Connection, windows: Sequence[Window], hourly_assets: Sequence[str]
) -> CheckOutcome:
    """Verifies that hours add up to their days, if the zone's day is whole hours.

    Raises:
        UpstreamNotReadyError: they do not because hours are being restated right now.
    """
    whole = [w for w in windows if w.start.minute == 0 and w.end.minute == 0]
    if not whole:
        return HOURS_ADD_UP.passed()
    parameters = {
        "dates": [w.date for w in whole],
        "starts": [w.start for w in whole],
        "ends": [w.end for w in whole],
    }
    with _unless_restated(connection, whole, hourly_assets):
        return verify(
            connection,
            HOURS_ADD_UP,
            "hours_add_up",
            parameters,
            "The hours of {date} hold {in_hours} events of type {event_type} for organization "
            "{organization_id}, the day {in_day}: nothing was published; materialise "
            "analytics/hourly_events for that day, then the day.",
        )


def days_add_up_to_months(
    connection: sa.Connection, windows: Sequence[Window], assets: Sequence[str]
) -> CheckOutcome:
    """The days' counts add up to the month's.

    Raises:
        UpstreamNotReadyError: they do not because days or hours are being restated right now.
    """
    with _unless_restated(connection, windows, assets):
        return verify(
            connection,
            DAYS_ADD_UP,
            "days_add_up",
            {"months": [w.date for w in windows]},
            "The days of the month {month} hold {in_days} events of type {event_type} for "
            "organization {organization_id}, the month {in_month}: nothing was published; "
            "materialise analytics/event_aggregates for its days, then the month.",
        )


@contextlib.contextmanager
def _unless_restated(
    connection: sa.Connection, windows: Sequence[Window], assets: Sequence[str]
) -> Iterator[None]:
    """Turns a broken contract into `UpstreamNotReadyError` if a source is marked. It reads the
    marks that stand now, which the transaction's own snapshot may not see."""
    try:
        yield
    except ContractViolationError as violation:
        first, last = min(w.start for w in windows), max(w.end for w in windows)
        bounds = {
            "assets": list(assets),
            "first": f"{first - dt.timedelta(days=1):%Y-%m-%d}",
            "last": f"{last + dt.timedelta(days=1):%Y-%m-%d}~",
        }
        with connection.engine.connect() as now:
            restated = now.execute(sa.text(_sql("restated")), bounds).scalar_one()
        if restated:
            raise UpstreamNotReadyError(
                "A source of this partition is being counted again; the partition follows."
            ) from violation
        raise


def funnel_warnings(connection: sa.Connection, dates: Sequence[dt.date]) -> CheckOutcome:
    """Campaign days whose events contradict each other: counted raw, named, nothing stopped."""
    rows = (
        connection.execute(sa.text(_sql("warning_funnel")), {"dates": list(dates)}).mappings().all()
    )
    return CheckOutcome(
        FUNNEL_IS_PLAUSIBLE,
        passed=not rows,
        details={
            "campaign_days": rows[0]["total"] if rows else 0,
            "first": [
                f"campaign {row['campaign']} on {row['date']}: {row['reason']}" for row in rows
            ],
        },
    )


@cache
def _sql(name: str) -> str:
    return resources.files(__package__).joinpath("sql", f"{name}.sql").read_text()
