"""Stale deals: open deals without activity, each period of silence once.

The table `sales.stale_deals` is the memory of the job: a row stands for a period, and its task, tag
and notifications follow from it. So a tick that is done again, late or after others, changes
nothing that a later one has settled.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.crm.sales_settings import Deals
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.delivery.notifications import WANTED, notify
from marketing_pipelines.domains.sales.sql_files import read_sql
from marketing_pipelines.runs.tick import Tick

JOB = "sales/stale_deals"


def find_stale_deals(tick: Tick) -> None:
    """Ends, begins and escalates periods of silence of each organization's deals."""
    totals: Counter[str] = Counter()
    with tick.begin(isolation="read committed") as connection:
        connection.execute(read_sql("stage_silences"), {"tick": tick.instant, "job": JOB})
        connection.exec_driver_sql("create index on deal_silences (deal_id)")
        connection.exec_driver_sql("analyze deal_silences")
        for item in tick.items(connection, all_organizations(connection), name_of):
            with item as organization:
                totals += _of_organization(connection, organization.id, tick)
    tick.rows = totals["stale"] + totals["at_risk"] + totals["ended"]
    names = ("stale", "at_risk", "ended", "notifications", "without_recipient")
    tick.metadata |= {name: totals[name] for name in names}


def all_organizations(connection: sa.Connection) -> Sequence[Any]:
    """The number and external id of every organization."""
    wanted = sa.select(organizations.c.id, organizations.c.external_id)
    return connection.execute(wanted.order_by(organizations.c.id)).all()


def name_of(organization: Any) -> str:
    """The name of an organization's item."""
    return f"organization {organization.external_id}"


def _of_organization(connection: sa.Connection, organization_id: int, tick: Tick) -> Counter[str]:
    own = settings_of(connection, organization_id).deals
    given = {"organization_id": organization_id, "tick": tick.instant, "job": JOB}
    ended = connection.execute(read_sql("end_stale_periods"), given).all()
    ages = _ages(own)
    begun = connection.execute(read_sql("begin_stale_periods"), given | ages).one()
    connection.execute(read_sql("tag_deals_at_risk"), given | ages)
    connection.execute(read_sql("add_stale_tasks"), given)
    if 0 in own.days_by_stage.values():
        connection.execute(read_sql("drop_tasks_of_exempt_stages"), given | ages)
    wanted = read_sql("stale_notifications").bindparams(
        organization_id=organization_id, tick=tick.instant, roles=list(own.escalate_to)
    )
    sent = notify(
        connection,
        wanted.columns(*WANTED),
        organization_id=organization_id,
        job=JOB,
        tick=tick.instant,
    )
    return Counter(
        stale=begun.stale,
        at_risk=begun.at_risk,
        ended=sum(row.periods for row in ended),
        notifications=sent.written,
        without_recipient=sent.without_recipient,
    )


def _ages(own: Deals) -> dict[str, Any]:
    days = own.days_by_stage
    return {
        "default_days": days.pop("default"),
        "days": json.dumps(days),
        "at_risk_days": own.at_risk_after_days,
    }
