"""Incidents: unbroken rows of failures, and the alerts that they are worth.

Recorded in the transaction that closes the session, so that neither exists without the other. An
incident is worth at most three alerts: the first failure, the third in a row, and the recovery;
their unique key is the incident and the kind, whoever records them.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores import intents
from marketing_pipelines.stores.tables import identity, instant, metadata

THIRD = 3

alerts = sa.Table(
    "alerts",
    metadata,
    identity("Alert number"),
    sa.Column(
        "incident_id",
        sa.BigInteger,
        sa.ForeignKey("ops.incidents.id", ondelete="CASCADE"),
        nullable=False,
        comment="Incident that it tells of",
    ),
    sa.Column("kind", sa.Text, nullable=False, comment="first, third or recovery"),
    *intents.columns(),
    sa.Column(
        "delivered_to",
        pg.ARRAY(sa.Text),
        nullable=False,
        server_default="{}",
        comment="Fingerprints of the addresses that took it, which are not asked again",
    ),
    instant("recorded_at", "When it was recorded", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("incident_id", "kind"),
    sa.CheckConstraint("kind in ('first', 'third', 'recovery')", name="kind"),
    sa.CheckConstraint(
        "state in ('queued', 'claimed', 'sending', 'sent', 'unknown', 'failed', 'muted', "
        "'unaddressed')",
        name="state",
    ),
    sa.Index("ix_alerts_open", "due_at", postgresql_where=sa.text("state = 'queued'")),
    schema="ops",
    comment="What is to be told of incidents: each kind once for each incident",
)


@dataclass(frozen=True)
class Failure:
    """One final failure of a subject."""

    subject: str
    error: str | None
    run_id: str | None = None


_FAILED = sa.text("""
    with failed as (
        select subject, count(*)::integer as failures,
               (array_agg(error order by number desc))[1] as error,
               (array_agg(run_id order by number desc))[1] as run_id
        from unnest(
            cast(:subjects as text[]), cast(:errors as text[]), cast(:runs as text[])
        ) with ordinality as given (subject, error, run_id, number)
        group by subject
        order by subject
    ), incident as (
        insert into ops.incidents as known (subject, failures, error, run_id)
        select subject, failures, error, run_id from failed
        on conflict (subject, item) where recovered_at is null do update
        set failures = known.failures + excluded.failures, error = excluded.error,
            run_id = excluded.run_id, last_failed_at = now()
        returning id, failures
    )
    insert into ops.alerts (incident_id, kind)
    select incident.id, level.kind
    from incident
    join (values ('first', 1), ('third', 3)) as level (kind, failures)
        on incident.failures >= level.failures
    order by incident.id, level.failures
    on conflict do nothing
""")
_ITEM_FAILED = sa.text("""
    with incident as (
        insert into ops.incidents as known (subject, item, failures, error, opened_at)
        values (:subject, :item, :failures, :error, :since)
        on conflict (subject, item) where recovered_at is null do update
        set failures = excluded.failures, error = excluded.error, last_failed_at = now()
        returning id
    )
    insert into ops.alerts (incident_id, kind) select id, :kind from incident
    on conflict do nothing
""")
_LASTS = sa.text("""
    with found as (
        insert into ops.incidents as known (subject, failures, error)
        select subject, 1, error
        from unnest(cast(:subjects as text[]), cast(:errors as text[])) as given (subject, error)
        order by subject
        on conflict (subject, item) where recovered_at is null do update
        set error = excluded.error, last_failed_at = now()
        returning id
    )
    insert into ops.alerts (incident_id, kind) select id, 'first' from found order by id
    on conflict do nothing
""")
_RECOVERED = sa.text("""
    with ended as (
        update ops.incidents set recovered_at = now()
        where subject = any(cast(:subjects as text[])) and item = :item and recovered_at is null
        returning id
    )
    insert into ops.alerts (incident_id, kind) select id, 'recovery' from ended
    on conflict do nothing
""")
_FAILING = sa.text("select subject from ops.incidents where recovered_at is null and item = ''")
_LASTING = sa.text("""
    select subject from ops.incidents
    where recovered_at is null and item = '' and starts_with(subject, :start)
""")


def failed(connection: sa.Connection, failures: Sequence[Failure]) -> None:
    """Counts final failures; the first opens an incident."""
    if not failures:
        return
    connection.execute(
        _FAILED,
        {
            "subjects": [failure.subject for failure in failures],
            "errors": [failure.error or "no reason given" for failure in failures],
            "runs": [failure.run_id for failure in failures],
        },
    )


def item_failed(
    connection: sa.Connection,
    subject: str,
    item: str,
    error: str,
    failures: int,
    *,
    since: dt.datetime,
    kind: Literal["first", "third"] = "third",
) -> None:
    """Notes that an item of a job has failed for the third time in a row or more often, or that it
    is worth an alert at once.

    Args:
        since: Tick of the first of these failures.
    """
    values = {"subject": subject, "item": item, "error": error, "failures": failures, "kind": kind}
    connection.execute(_ITEM_FAILED, values | {"since": since})


def recovered(connection: sa.Connection, subject: str, item: str = "") -> None:
    """Ends the incident of the subject, if it has one."""
    connection.execute(_RECOVERED, {"subjects": [subject], "item": item})


def failing(connection: sa.Connection) -> set[str]:
    """The subjects whose own incident lasts."""
    return set(connection.execute(_FAILING).scalars())


def set_lasting(connection: sa.Connection, kind: str, errors: dict[str, str]) -> None:
    """Makes these the incidents of a kind that last: new ones open, those not named end.

    Args:
        kind: The first word of the subjects, e.g. `overdue`.
        errors: What is the matter, by the rest of the subject.
    """
    now = {f"{kind} {name}": error for name, error in errors.items()}
    before = connection.execute(_LASTING, {"start": f"{kind} "}).scalars()
    gone = sorted(set(before) - set(now))
    if gone:
        connection.execute(_RECOVERED, {"subjects": gone, "item": ""})
    if now:
        connection.execute(_LASTS, {"subjects": list(now), "errors": list(now.values())})
