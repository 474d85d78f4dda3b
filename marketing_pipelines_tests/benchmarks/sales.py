"""Stale deals over many deals: all at once, then 1 % changed, compared with one bare statement."""

import datetime as dt
import time

import psycopg

from marketing_pipelines_tests.benchmarks import sales_days
from marketing_pipelines_tests.benchmarks.report import Measured, Report
from marketing_pipelines_tests.benchmarks.sites import Server, Site

JOB = "sales/stale_deals"
TICK = dt.datetime(2026, 3, 31, 9, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
USERS = 200

_PEOPLE = """
with own as (
    insert into crm.organizations (external_id) values ('acme') returning id
),
people as (
    insert into crm.users (organization_id, external_id, role)
    select id, 'u' || n, case n when 1 then 'admin' else 'rep' end
    from own, generate_series(1, %(users)s) as n
)
insert into crm.contacts (organization_id, external_id, created_at)
select id, 'c' || n, '2025-06-01' from own, generate_series(1, %(deals)s) as n
"""
_DEALS = """
insert into crm.deals (
    organization_id, external_id, name, contact_id, owner_id, stage, amount, currency, created_at
)
select contact.organization_id, 'd' || contact.id, 'Deal ' || contact.id, contact.id,
       users.id, 'Proposal', contact.id %% 90000, 'EUR', '2025-06-01'
from crm.contacts as contact
join crm.users as users on users.external_id = 'u' || 1 + contact.id %% %(users)s
"""
# Half of the deals are silent for 8 to 40 days, 1 % become stale on the next day.
_ACTIVITIES = """
insert into crm.activities (
    organization_id, external_id, kind, direction, contact_id, deal_id, user_id, occurred_at
)
select deal.organization_id, 'a' || deal.id || '-' || n,
       (array['email', 'call', 'meeting', 'note'])[1 + (deal.id + n) %% 4], 'out', deal.contact_id,
       case when deal.id %% 3 > 0 then deal.id end, deal.owner_id,
       %(tick)s - n * interval '9 days' - case
           when deal.id %% 100 = 0 then interval '6 days 12 hours'
           when deal.id %% 2 = 0 then interval '8 days' + deal.id %% 32 * interval '1 day'
           else deal.id %% 5 * interval '1 day'
       end
from crm.deals as deal
cross join generate_series(0, 3) as n
"""
_ANSWERS = """
insert into crm.activities (
    organization_id, external_id, kind, direction, deal_id, user_id, occurred_at
)
select organization_id, 'new' || id, 'email', 'out', id, owner_id, %(tick)s
from crm.deals
where id %% 200 = 2
"""
# As one would write it for this rule alone: periods, tasks and notifications of stale deals.
_BARE = """
with of_deals as (
    select deal_id, max(occurred_at) as at from crm.timeline
    where deal_id is not null and occurred_at < %(tick)s
        and kind in ('email', 'call', 'meeting', 'note')
    group by deal_id
),
of_contacts as (
    select contact_id, max(occurred_at) as at from crm.timeline
    where deal_id is null and occurred_at < %(tick)s
        and kind in ('email', 'call', 'meeting', 'note')
    group by contact_id
),
silent as (
    select deal.id, deal.organization_id, deal.owner_id, deal.contact_id, deal.name,
           greatest(deal.created_at, of_deals.at, of_contacts.at) as since
    from crm.deals as deal
    left join of_deals on of_deals.deal_id = deal.id
    left join of_contacts on of_contacts.contact_id = deal.contact_id
    where deal.status = 'open'
),
begun as (
    insert into bare_periods (deal_id, silent_since, organization_id, stale_at, at_risk_at)
    select id, since, organization_id, %(tick)s,
           case when since < %(tick)s - interval '720 hours' then %(tick)s end
    from silent
    where since < %(tick)s - interval '168 hours'
    on conflict do nothing
    returning deal_id, silent_since
),
noted as (
    insert into bare_tasks (
        organization_id, contact_id, deal_id, owner_id, title, due_at, job, subject, period,
        created_at
    )
    select silent.organization_id, silent.contact_id, silent.id, silent.owner_id,
           'Follow up on stale deal', %(tick)s, 'bare', 'deal ' || silent.id,
           begun.silent_since::text, %(tick)s
    from begun join silent on silent.id = begun.deal_id
    on conflict do nothing
)
insert into bare_notifications (
    organization_id, user_id, contact_id, kind, title, text, ref, job, subject, period, created_at
)
select silent.organization_id, silent.owner_id, silent.contact_id, 'stale_deal',
       'Deal inactive', silent.name || ' is inactive.', 'deal:' || silent.id, 'bare',
       'deal ' || silent.id, begun.silent_since::text, %(tick)s
from begun join silent on silent.id = begun.deal_id
on conflict do nothing
"""


def measure(server: Server, report: Report, repeat: int, deals: int) -> None:
    """A first run over all deals, then a day with 1 % changed, each against the bare statement."""
    site = server.new_site("sales")
    _build(site, deals)
    first_bare = _bare(site, TICK)
    first = _session(site, TICK)
    note = f"{deals:,} deals, {first['rows']:,} became stale or at risk"
    report.add(Measured("stale deals, first run", [first["seconds"]], "s", note=note))
    ratio = first["seconds"] / first_bare
    report.add(Measured("stale deals, first run : bare statement", [ratio], "×", note=note))
    seconds, ratios, peaks = [], [], []
    for day in range(1, repeat + 1):
        tick = TICK + day * DAY
        if day == 1:
            site.execute(_ANSWERS.replace("%(tick)s", "%s"), tick - DAY / 2)
            site.settle()
        bare = _bare(site, tick)
        run = _session(site, tick)
        seconds.append(run["seconds"])
        ratios.append(run["seconds"] / bare)
        peaks.append(run["peak_mb"])
    note = f"{deals:,} deals, 1 % changed on the first of {repeat} days"
    report.add(Measured("stale deals, a day", seconds, "s", 60, note=note))
    report.add(Measured("stale deals, a day : bare statement", ratios, "×", 3, note=note))
    report.add(Measured("stale deals, peak memory", peaks, "MB", 512, note="whole process"))
    sales_days.measure(site, report, deals, TICK + (repeat + 1) * DAY)


def _build(site: Site, deals: int) -> None:
    with psycopg.connect(site.url) as connection:
        given = {"users": USERS, "deals": deals, "tick": TICK}
        for statement in (_PEOPLE, _DEALS, _ACTIVITIES):
            connection.execute(statement, given)
        for name, table in (
            ("bare_periods", "sales.stale_deals"),
            ("bare_tasks", "crm.tasks"),
            ("bare_notifications", "crm.notifications"),
        ):
            connection.execute(f"create table {name} (like {table} including all)")
    site.settle()


def _bare(site: Site, tick: dt.datetime) -> float:
    """Seconds of the statement."""
    with psycopg.connect(site.url) as connection:
        started = time.monotonic()
        connection.execute(_BARE, {"tick": tick})
        connection.commit()
        return time.monotonic() - started


def _session(site: Site, tick: dt.datetime) -> dict[str, float]:
    run = site.child("run_at", JOB, tick.isoformat())
    [session] = run["sessions"]
    assert session["status"] == "COMPLETED", run
    return {**session, "peak_mb": run["peak_mb"]}
