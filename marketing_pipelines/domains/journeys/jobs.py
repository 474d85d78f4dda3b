"""The jobs of this domain."""

from functools import partial

from marketing_pipelines.domains.journeys import entries, sources, stale
from marketing_pipelines.domains.journeys import segment_entries as by_segments
from marketing_pipelines.domains.journeys.tables import JOURNEY
from marketing_pipelines.domains.lifecycle import sources as lifecycle
from marketing_pipelines.domains.lifecycle.progress import make_progress
from marketing_pipelines.domains.lifecycle.tables import enrolments
from marketing_pipelines.domains.segments.jobs import memberships
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.jobs.metadata import table_of
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.sessions import last_tick_done
from marketing_pipelines.runs.tick import Tick

JOURNEYS = Domain("journeys", owner=Team.LIFECYCLE)


@JOURNEYS.job(cron="5 * * * *", deps=[memberships, sources.journeys], table=enrolments, items=True)
def segment_entries(tick: Tick) -> None:
    """Enters contacts into programs whose segment trigger they joined."""
    begin = partial(tick.begin, isolation="read committed")
    tick.rows = by_segments.start_by_segments(begin, tick.instant, tick.items)


@JOURNEYS.job(
    cron="*/5 * * * *",
    deps=[*lifecycle.MOVING, memberships, sources.journeys],
    table=enrolments,
    shared=True,
    items=True,
)
def step_progress(tick: Tick) -> None:
    """Begins journeys by events and dates, then moves on the executions that are due."""
    begun = entries.start_due(tick.sharing, tick.instant, tick.zone, tick.items)
    make_progress(tick, JOURNEY)
    tick.metadata |= {"begun_by_events": begun.by_events, "begun_by_dates": begun.by_dates}
    for name, counted in (
        ("events_left_out", begun.events_left_out),
        ("not_dates", begun.not_dates),
    ):
        tick.metadata[name] = sum(counted.values())
        if counted:
            tick.metadata[f"{name}_by_trigger"] = table_of(("trigger", name), counted.items())


@JOURNEYS.job(cron="0 3 * * *", deps=[sources.journeys], table=enrolments, items=True)
def stale_executions(tick: Tick) -> None:
    """Cancels executions without progress for more than a week."""
    with tick.begin() as connection:
        passed = last_tick_done(connection, step_progress.key.to_user_string())
        organizations = stale.organizations(connection)
    for organization in organizations:
        with tick.begin(isolation="read committed") as connection:
            for item in tick.items(connection, [organization], stale.name_of):
                with item:
                    tick.rows += stale.cancel_stale(
                        connection, organization.id, tick.instant, passed
                    )
    tick.metadata["moved_until"] = f"{passed:%Y-%m-%d %H:%M} UTC" if passed else "never"
