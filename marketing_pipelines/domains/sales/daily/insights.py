"""The insights of the day before a tick, one row and one notification to each admin."""

import datetime as dt
import json
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.notifications.writing import WrittenNotifications
from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.delivery.notifications import WANTED, notify
from marketing_pipelines.domains.sales.assistant.rewriting import Rewriter
from marketing_pipelines.domains.sales.assistant.statements import stored
from marketing_pipelines.domains.sales.daily.numbers import DayNumbers, read_numbers
from marketing_pipelines.domains.sales.daily.writers import Insight, write_insight
from marketing_pipelines.domains.sales.sql_files import read_sql
from marketing_pipelines.domains.sales.stale import all_organizations, name_of
from marketing_pipelines.domains.sales.tables import insights
from marketing_pipelines.freshness.partitions import midnight
from marketing_pipelines.runs.tick import Tick

JOB = "sales/daily_insights"
ONE_DAY = dt.timedelta(days=1)
MAX_LINES = 8


def write_insights(tick: Tick) -> None:
    """Describes yesterday for each organization, then lets the model rewrite the sentences."""
    rewriter = Rewriter.of(tick.settings)
    date = tick.date - ONE_DAY
    written: list[tuple[int, Insight]] = []
    notifications = alarms = 0
    with tick.begin(isolation="read committed") as connection:
        found = read_numbers(connection, date, tick.zone)
        for item in tick.items(connection, all_organizations(connection), name_of):
            with item as organization:
                numbers = found.get(organization.id, DayNumbers(date))
                insight = _insight(connection, organization.id, numbers, tick)
                number = _write(connection, organization.id, date, insight, tick.instant)
                sent = _notify(connection, organization.id, date, insight, tick.instant)
                notifications += sent.written
                alarms += len(insight.attention)
                if number is not None:
                    written.append((number, insight))
    rewrite(tick, rewriter, written)
    tick.rows = len(written)
    tick.metadata |= {
        "date": str(date),
        "attention": alarms,
        "notifications": notifications,
        **rewriter.metadata,
    }


def rewrite(tick: Tick, rewriter: Rewriter, written: list[tuple[int, Insight]]) -> None:
    """Asks the model outside of the transaction: until it answers, the rules' text stands."""
    for number, insight in written:
        lists = (insight.trends, insight.attention, insight.recommendations)
        answer = rewriter.rewrite([one for part in lists for one in part], insight.facts)
        if answer is None:
            continue
        texts, writer = iter(answer[0]), answer[1]
        columns = [stored(next(texts) for _ in part) for part in lists]
        names = ("trends", "attention", "recommendations")
        with tick.begin(isolation="read committed") as connection:
            connection.execute(
                sa.update(insights)
                .where(insights.c.id == number, insights.c.digest == insight.digest)
                .values(writer=writer, **dict(zip(names, columns, strict=True)))
            )


def _insight(
    connection: sa.Connection, organization_id: int, numbers: DayNumbers, tick: Tick
) -> Insight:
    own = settings_of(connection, organization_id).insights
    numbers.stuck = list(
        connection.execute(
            read_sql("stuck_stages"),
            {
                "organization_id": organization_id,
                "end": midnight(numbers.date + ONE_DAY, tick.zone),
                "stuck_days": own.stuck_days,
            },
        )
    )
    return write_insight(numbers, own)


def _write(
    connection: sa.Connection,
    organization_id: int,
    date: dt.date,
    insight: Insight,
    tick: dt.datetime,
) -> int | None:
    """The number of the insight if it is new or changed."""
    number: int | None = connection.execute(
        read_sql("write_insight"),
        {
            "organization_id": organization_id,
            "date": date,
            "metrics": json.dumps(insight.metrics),
            "trends": json.dumps(stored(insight.trends)),
            "attention": json.dumps(stored(insight.attention)),
            "recommendations": json.dumps(stored(insight.recommendations)),
            "digest": insight.digest,
            "tick": tick,
        },
    ).scalar()
    return number


def _notify(
    connection: sa.Connection,
    organization_id: int,
    date: dt.date,
    insight: Insight,
    tick: dt.datetime,
) -> WrittenNotifications:
    lines = [one.text for one in (*insight.attention, *insight.recommendations)]
    lines = lines or [one.text for one in insight.trends] or ["A day without activity."]
    wanted: Any = read_sql("insight_notifications").bindparams(
        organization_id=organization_id,
        date=date,
        title=f"Daily insights – {date:%b} {date.day}, {date.year}",
        text="\n".join(lines[:MAX_LINES]),
    )
    return notify(
        connection,
        wanted.columns(*WANTED),
        organization_id=organization_id,
        job=JOB,
        tick=tick,
    )
