"""The events that satisfy a trigger: one rule, for arriving and for earlier events.

A trigger is a row of `lifecycle.triggers` with `started_at` of its program.
"""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.lifecycle.trigger_configs import parse_event
from marketing_pipelines.domains.segments import segment_graph
from marketing_pipelines.domains.segments.compiler import Compiler, Sources
from marketing_pipelines.domains.segments.event_names import require_names
from marketing_pipelines.domains.segments.preview import require_patterns
from marketing_pipelines.domains.segments.values import Condition


def matches(
    connection: sa.Connection,
    trigger: Any,
    events: Any,
    *,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> Condition:
    """Returns the condition that an event before `now` passes the trigger's type and `where`.

    Args:
        events: Rows with the columns of `analytics.contact_activity`.

    Raises:
        StepError: the trigger's `config` cannot be used.
        RuleError: `where` names a property that no such event has or has had, or has a pattern
            that PostgreSQL cannot read.
    """
    asked = parse_event(trigger.event_type, trigger.config)
    tests = [
        events.c.organization_id == trigger.organization_id,
        events.c.event_type == trigger.event_type,
        events.c.occurred_at < now,
    ]
    if asked.where:
        require_patterns(connection, asked)
        frame = segment_graph.frame(
            connection,
            trigger.organization_id,
            zone=segment_graph.zone_of(connection, trigger.organization_id, reporting_zone),
            now=now,
            segments=segment_graph.Published(segment_graph.Catalogue([])),
        )
        require_names(asked, frame.event_fields, frame.campaigns, "")
        tests.append(Compiler(frame, Sources(contacts, events)).matches(asked, events))
    return sa.and_(*tests)


def is_in_time(connection: sa.Connection, trigger: Any, events: Any) -> Condition:
    """Returns the condition that an event's instants let its contact in. It happened since the
    trigger was created and its program started, and was not too old when it arrived; with the
    policy `backfill`, every event passes.

    Raises:
        BadInputError: the organization's settings cannot be used.
    """
    if trigger.policy == "backfill":
        return sa.true()
    hours = latest_hours(connection, trigger)
    is_since: Condition = events.c.occurred_at >= since(trigger)
    if hours == 0:
        return is_since
    age = events.c.inserted_at - events.c.occurred_at
    return sa.and_(is_since, sa.func.coalesce(age <= dt.timedelta(hours=hours), sa.true()))


def since(trigger: Any) -> dt.datetime:
    """The instant from which events enrol, unless the policy is `backfill`."""
    created_at: dt.datetime = trigger.created_at
    return max(created_at, trigger.started_at or created_at)


def latest_hours(connection: sa.Connection, trigger: Any) -> int:
    """Largest age of an arriving event that enrols, in hours; 0: any age."""
    return settings_of(connection, trigger.organization_id).triggers.latest_event_hours
