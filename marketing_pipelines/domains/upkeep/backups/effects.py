"""The effects that a restore stops, each with the commands that release it.

A restored database lacks the time since its backup: its messages may have been sent meanwhile. A
further kind of effect is one more in `EFFECTS`; a test demands an effect of each table with rows
that wait for an instant.
"""

import datetime as dt
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa

from marketing_pipelines.domains import load_tables, load_tasks
from marketing_pipelines.domains.actions.standing import skip_due
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.delivery.resolving import restored_from
from marketing_pipelines.domains.delivery.tables import handovers, messages
from marketing_pipelines.domains.lifecycle.program_kinds import declared as program_kinds
from marketing_pipelines.domains.webhooks.restoring import fail_waiting, renumber_events
from marketing_pipelines.queueing import control, queues
from marketing_pipelines.runs.tables import alerts
from marketing_pipelines.stores import intents

COMMAND = "marketing-pipelines"


@dataclass(frozen=True)
class Held:
    """The things of one kind that a restore holds.

    Attributes:
        sentence: Its number and its state.
        commands: The commands that release it.
    """

    sentence: str
    commands: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Effect:
    """A kind of effect on the outside world.

    Attributes:
        tables: The tables whose waiting rows it comes from, by schema and name.
        stop: Stops it, given the backup's id and the present instant.
    """

    tables: tuple[str, ...]
    stop: Callable[[sa.Connection, str, dt.datetime], Held]


def stop_effects(connection: sa.Connection, backup_id: str, now: dt.datetime) -> list[Held]:
    """Stops every effect, in the caller's transaction; returns what is held."""
    return [effect.stop(connection, backup_id, now) for effect in EFFECTS]


def _pause_queues(connection: sa.Connection, _backup_id: str, _now: dt.datetime) -> Held:
    load_tasks()
    names = sorted(queues.declared())
    for name in names:
        control.pause(connection, name)
    commands = [f"{COMMAND} queues resume {name}" for name in names]
    return Held(f"{len(names)} queues, those of the channels among them, are paused", commands)


def _end_messages(connection: sa.Connection, backup_id: str, _now: dt.datetime) -> Held:
    ended = connection.execute(
        sa.update(messages)
        .where(intents.is_in(messages, *intents.NOT_ENDED))
        .values(state=intents.UNKNOWN, reason=restored_from(backup_id), leased_until=None)
    ).rowcount
    connection.execute(sa.delete(handovers))
    commands = [
        f"{COMMAND} messages list --state unknown",
        f"{COMMAND} messages resolve --restored-from {backup_id} --as failed",
        f"{COMMAND} messages resolve --restored-from {backup_id} --as resend",
    ]
    return Held(
        f"{ended:,} messages that were queued or being sent are unknown",
        commands if ended else [],
    )


def _end_alerts(connection: sa.Connection, backup_id: str, _now: dt.datetime) -> Held:
    ended = connection.execute(
        sa.update(alerts)
        .where(intents.is_in(alerts, *intents.NOT_ENDED))
        .values(state=intents.UNKNOWN, reason=restored_from(backup_id), leased_until=None)
    ).rowcount
    return Held(f"{ended:,} alerts that were queued or being sent are unknown and stay so")


def _pause_programs(connection: sa.Connection, _backup_id: str, now: dt.datetime) -> Held:
    load_tables()
    commands = []
    for kind in program_kinds().values():
        table = kind.table
        # One whose start has passed may have started since.
        starts = sa.and_(table.c.status == "scheduled", table.c.started_at <= now)
        paused = (
            sa.update(table)
            .where(
                sa.or_(table.c.status == "active", starts),
                organizations.c.id == table.c.organization_id,
            )
            .values(status="paused")
            .returning(table.c.external_id, organizations.c.external_id.label("organization"))
        )
        commands += sorted(
            f"{COMMAND} program resume {kind.name} {shlex.quote(row.external_id)} "
            f"--organization {shlex.quote(row.organization)}"
            for row in connection.execute(paused)
        )
    return Held(f"{len(commands):,} active programs are paused", commands)


def _skip_actions(connection: sa.Connection, backup_id: str, now: dt.datetime) -> Held:
    number = skip_due(connection, restored_from(backup_id), now)
    commands = [f"{COMMAND} action list --state skipped", f"{COMMAND} action run ACTION"]
    return Held(f"{number:,} due actions are skipped", commands if number else [])


def _fail_deliveries(connection: sa.Connection, backup_id: str, now: dt.datetime) -> Held:
    number = fail_waiting(connection, restored_from(backup_id), now)
    renumber_events(connection)
    return Held(f"{number:,} deliveries of webhooks that waited are failed")


EFFECTS = (
    Effect((), _pause_queues),
    Effect(("delivery.messages", "delivery.handovers"), _end_messages),
    Effect(("ops.alerts",), _end_alerts),
    Effect(("lifecycle.enrolments",), _pause_programs),
    Effect(("actions.scheduled_actions", "actions.runs"), _skip_actions),
    Effect(("webhooks.deliveries",), _fail_deliveries),
)
