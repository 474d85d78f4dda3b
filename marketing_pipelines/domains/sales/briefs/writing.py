"""The briefs of a tick's meetings, each version once, and the notifications of their owners."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.notifications.writing import WrittenNotifications
from marketing_pipelines.domains.delivery.links import public_base
from marketing_pipelines.domains.delivery.notifications import WANTED, notify
from marketing_pipelines.domains.sales.assistant.rewriting import Rewriter
from marketing_pipelines.domains.sales.assistant.statements import Facts, stored
from marketing_pipelines.domains.sales.briefs.facts import MeetingFacts, read_facts, score
from marketing_pipelines.domains.sales.briefs.writers import Brief, write_brief
from marketing_pipelines.domains.sales.sql_files import read_sql
from marketing_pipelines.domains.sales.tables import meeting_briefs
from marketing_pipelines.failures import TimedOutError
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.tables import job_sessions

JOB = "sales/meeting_briefs"
# The path of the page that shows briefs.
PAGE = "/admin/pages/briefs"
NEAREST, FARTHEST = dt.timedelta(minutes=30), dt.timedelta(minutes=60)
BATCH = 500
_Written = tuple[int, Brief, Facts]


def write_briefs(tick: Tick) -> None:
    """Writes the briefs of the meetings of the tick's window, then lets the model rewrite them."""
    rewriter = Rewriter.of(tick.settings)
    written: list[_Written] = []
    notifications = without_recipient = 0
    with_stored_scores: set[str] = set()
    with tick.begin(isolation="read committed") as connection:
        start, end = window(connection, tick.instant)
        meetings = connection.execute(
            read_sql("brief_meetings"),
            {"start": start, "end": end, "tick": tick.instant, "job": JOB},
        ).all()
        for batch in _batches(meetings):
            found = read_facts(connection, batch, tick.instant)
            for name, own in _by_organization(found).items():
                with_stored_scores.add(name)
                for item in tick.items(connection, [own], _scores):
                    with item:
                        score(connection, own, tick.zone)
                        with_stored_scores.remove(name)
            written += _write_batch(tick, connection, found)
        told = connection.execute(read_sql("briefed_organizations"), {"tick": tick.instant}).all()
        for item in tick.items(connection, told, _notifications):
            with item as organization:
                sent = _notify(connection, organization.id, tick)
                notifications += sent.written
                without_recipient += sent.without_recipient
    rewrite(tick, rewriter, written)
    tick.rows = len(written)
    tick.metadata |= {
        "window": f"{start:%Y-%m-%d %H:%M} to {end:%H:%M} UTC",
        "notifications": notifications,
        "without_recipient": without_recipient,
        "organizations_with_stored_scores": len(with_stored_scores),
        **rewriter.metadata,
    }


def window(connection: sa.Connection, tick: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """The begins of meetings that a tick looks at: [30, 60) minutes after it.

    After missed ticks, it begins where the window of the last tick that was done ends, or at the
    tick: meetings of the missed windows that have not begun.
    """
    done = connection.execute(
        sa.select(sa.func.max(job_sessions.c.tick)).where(
            job_sessions.c.job == JOB,
            job_sessions.c.status == "COMPLETED",
            job_sessions.c.tick < tick,
        )
    ).scalar()
    start = tick + NEAREST
    if done is not None:
        start = min(start, max(tick, done + FARTHEST))
    return start, tick + FARTHEST


def rewrite(tick: Tick, rewriter: Rewriter, written: Iterable[_Written]) -> None:
    """Asks the model outside of the transaction: until it answers, the rules' text stands."""
    for brief_id, brief, facts in written:
        lists = (brief.key_points, brief.talking_points, brief.questions)
        answer = rewriter.rewrite([one for statements in lists for one in statements], facts)
        if answer is None:
            continue
        texts, writer = iter(answer[0]), answer[1]
        lengths = [len(statements) for statements in lists]
        columns = [stored(next(texts) for _ in range(length)) for length in lengths]
        names = ("key_points", "talking_points", "questions")
        with tick.begin(isolation="read committed") as connection:
            connection.execute(
                sa.update(meeting_briefs)
                .where(meeting_briefs.c.id == brief_id, meeting_briefs.c.writer == "rules")
                .values(writer=writer, **dict(zip(names, columns, strict=True)))
            )


def _batches(meetings: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (meetings[at : at + BATCH] for at in range(0, len(meetings), BATCH))


def _by_organization(found: Iterable[MeetingFacts]) -> dict[str, list[MeetingFacts]]:
    """The meetings with a known attendee, by the organization's external id."""
    own: defaultdict[str, list[MeetingFacts]] = defaultdict(list)
    for facts in found:
        if facts.known:
            own[facts.meeting.organization].append(facts)
    return dict(own)


def _scores(own: Sequence[MeetingFacts]) -> str:
    return f"scores of {own[0].meeting.organization}"


def _name(facts: MeetingFacts) -> str:
    return f"meeting {facts.meeting.id}"


def _notifications(organization: Any) -> str:
    return f"notifications of {organization.external_id}"


def _notify(connection: sa.Connection, organization_id: int, tick: Tick) -> WrittenNotifications:
    base = public_base(tick.settings)
    wanted = read_sql("brief_notifications").bindparams(
        organization_id=organization_id,
        tick=tick.instant,
        job=JOB,
        page=None if base is None else f"{base}{PAGE}?meeting=",
    )
    return notify(
        connection,
        wanted.columns(*WANTED),
        organization_id=organization_id,
        job=JOB,
        tick=tick.instant,
    )


def _write_batch(
    tick: Tick, connection: sa.Connection, found: Sequence[MeetingFacts]
) -> list[_Written]:
    """The new briefs of a batch, by one statement; one by one if that fails."""
    try:
        with connection.begin_nested():
            written = _write(connection, found, tick.instant)
    except TimedOutError:
        raise
    except Exception as error:
        if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
            raise
    else:
        tick.failures.all_succeeded(connection, [_name(facts) for facts in found])
        return written
    written = []
    for item in tick.items(connection, found, _name):
        with item as facts:
            written += _write(connection, [facts], tick.instant)
    return written


def _write(
    connection: sa.Connection, found: Sequence[MeetingFacts], tick: dt.datetime
) -> list[_Written]:
    """The new briefs; none for a version that has one."""
    briefs = {facts.meeting.id: (write_brief(facts), facts.by_row()) for facts in found}
    rows = [
        {
            "organization_id": facts.meeting.organization_id,
            "meeting_id": facts.meeting.id,
            "version": facts.meeting.version,
            "headline": brief.headline,
            "key_points": stored(brief.key_points),
            "talking_points": stored(brief.talking_points),
            "questions": stored(brief.questions),
            "facts": by_row,
        }
        for facts in found
        for brief, by_row in [briefs[facts.meeting.id]]
    ]
    written = connection.execute(_WRITE, {"briefs": rows, "tick": tick})
    return [(row.id, *briefs[row.meeting_id]) for row in written]


_WRITE = read_sql("write_briefs").bindparams(sa.bindparam("briefs", type_=pg.JSONB))
