"""Incidents: unbroken rows of failures, and the alerts that they are worth.

Recorded in the transaction that closes the session, so that neither exists without the other. An
incident is worth at most three alerts: the first failure, the third in a row, and the recovery;
their unique key is the incident and the kind, in whichever process they are recorded.
"""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

THIRD = 3


@dataclass(frozen=True)
class SubjectFailure:
    """One final failure of a subject.

    Attributes:
        partition: Partition key, or first...last of a range; None for a job without partitions.
    """

    subject: str
    error: str | None
    run_id: str | None = None
    partition: str | None = None


# An incident of the job itself or of partitions of it, not of one of its items.
OF_THE_JOB = r"(item = '' or item ~ '^\d{4}-\d\d')"
_PARTITION = re.compile(r"\d{4}-\d\d[-\d:]*")


@dataclass(frozen=True)
class _Span:
    """A partition, or a range of them; keys of one grain sort like their times."""

    first: str
    last: str

    def overlaps(self, other: "_Span") -> bool:
        return self.first <= other.last and other.first <= self.last

    def covers(self, other: "_Span") -> bool:
        return self.first <= other.first and other.last <= self.last


def _span(item: str) -> _Span | None:
    first, _, last = item.partition("...")
    return _Span(first, last or first) if _PARTITION.fullmatch(first) else None


_FAILED = sa.text("""
    with failed as (
        select subject, item, count(*)::integer as failures,
               (array_agg(error order by number desc))[1] as error,
               (array_agg(run_id order by number desc))[1] as run_id
        from unnest(
            cast(:subjects as text[]), cast(:items as text[]), cast(:errors as text[]),
            cast(:runs as text[])
        ) with ordinality as given (subject, item, error, run_id, number)
        group by subject, item
        order by subject, item
    ), incident as (
        insert into ops.incidents as known (subject, item, failures, error, run_id)
        select subject, item, failures, error, run_id from failed
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
_ENDED = sa.text("""
    with ended as (
        update ops.incidents set recovered_at = now()
        where id = any(:ids) and recovered_at is null
        returning id
    )
    insert into ops.alerts (incident_id, kind) select id, 'recovery' from ended order by id
    on conflict do nothing
""")
_OPEN = sa.text(f"""
    select id, subject, item from ops.incidents
    where recovered_at is null and subject = any(:subjects) and {OF_THE_JOB}
    order by id
""")
_IS_MARKED = sa.text("""
    select exists (
        select from analytics.stale_partitions
        where asset = :job
        and partition collate "C" between cast(:first as text) and cast(:last as text)
    )
""")
_FAILING = sa.text(f"""
    select distinct subject from ops.incidents where recovered_at is null and {OF_THE_JOB}
""")
_LASTING = sa.text("""
    select subject from ops.incidents
    where recovered_at is null and item = '' and starts_with(subject, :start)
""")


def failed(connection: sa.Connection, failures: Sequence[SubjectFailure]) -> None:
    """Counts final failures; the first opens an incident."""
    if not failures:
        return
    known = _open(connection, [failure.subject for failure in failures])
    connection.execute(
        _FAILED,
        {
            "subjects": [failure.subject for failure in failures],
            "items": [_incident_item(failure, known) for failure in failures],
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
    """Records the failure of an item that is worth an alert. Its kind says so: the third failure in
    a row, or a first one that alerts at once.

    Args:
        since: Tick of the first of these failures.
    """
    values = {"subject": subject, "item": item, "error": error, "failures": failures, "kind": kind}
    connection.execute(_ITEM_FAILED, values | {"since": since})


def _open(connection: sa.Connection, subjects: Sequence[str]) -> list[sa.Row[Any]]:
    return list(connection.execute(_OPEN, {"subjects": list(subjects)}))


def _incident_item(failure: SubjectFailure, known: Sequence[sa.Row[Any]]) -> str:
    """The partitions as the open incident names them that has some of them."""
    item = failure.partition or ""
    span = _span(item)
    for row in known:
        other = _span(row.item)
        if span and other and row.subject == failure.subject and span.overlaps(other):
            return str(row.item)
    return item


def succeeded(connection: sa.Connection, job: str, partition: str | None) -> None:
    """Ends the incidents that a success of the job ends: its own and those of the partitions done.

    An incident of a range ends when the whole range is done, or when nothing in it is marked after
    a part of it is done.

    Args:
        partition: Partition key, or first...last of a range.
    """
    done = _span(partition or "")

    def is_over(item: str) -> bool:
        span = _span(item)
        if span is None:
            return True
        if done is None or not done.overlaps(span):
            return False
        return done.covers(span) or not connection.scalar(
            _IS_MARKED, {"job": job, "first": span.first, "last": span.last}
        )

    ended = [row.id for row in _open(connection, [job]) if is_over(row.item)]
    if ended:
        connection.execute(_ENDED, {"ids": ended})


def recovered(connection: sa.Connection, subject: str, item: str = "") -> None:
    """Ends the incident of the subject, if it has one."""
    connection.execute(_RECOVERED, {"subjects": [subject], "item": item})


def failing(connection: sa.Connection) -> set[str]:
    """The jobs and others whose own incident lasts, or one of a partition."""
    return set(connection.execute(_FAILING).scalars())


def set_lasting(connection: sa.Connection, kind: str, errors: dict[str, str]) -> None:
    """Makes these the incidents of a kind that last: new ones open, those not named end.

    Args:
        kind: The first word of the subjects, e.g. `overdue`.
        errors: Error sentence, by the rest of the subject.
    """
    now = {f"{kind} {name}": error for name, error in errors.items()}
    before = connection.execute(_LASTING, {"start": f"{kind} "}).scalars()
    gone = sorted(set(before) - set(now))
    if gone:
        connection.execute(_RECOVERED, {"subjects": gone, "item": ""})
    if now:
        connection.execute(_LASTS, {"subjects": list(now), "errors": list(now.values())})
