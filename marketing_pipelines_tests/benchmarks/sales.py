"""Stale deals over many deals: all at once, then 1 % changed, compared with one bare statement."""

import datetime as dt

import psycopg

from marketing_pipelines_tests.benchmarks import sales_days
from marketing_pipelines_tests.benchmarks.against_sql import compare
from marketing_pipelines_tests.benchmarks.report import Report
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
# As one would write it for this rule alone: periods, their tasks, tags and notifications.
_BARE = """
with of_deals as (
    select deal_id, max(occurred_at) as at from crm.timeline
    where deal_id is not null and occurred_at < %(at)s
        and kind in ('email', 'call', 'meeting', 'note')
    group by deal_id
),
of_contacts as (
    select contact_id, max(occurred_at) as at from crm.timeline
    where deal_id is null and occurred_at < %(at)s
        and kind in ('email', 'call', 'meeting', 'note')
    group by contact_id
),
silent as materialized (
    select deal.id, deal.organization_id, deal.owner_id, deal.contact_id, deal.name,
           greatest(deal.created_at, of_deals.at, of_contacts.at) as since
    from crm.deals as deal
    left join of_deals on of_deals.deal_id = deal.id
    left join of_contacts on of_contacts.contact_id = deal.contact_id
    where deal.status = 'open'
),
ended as (
    update sales.stale_deals as period
    set ended_at = %(at)s, ended_by = 'activity'
    from silent
    where period.deal_id = silent.id and period.ended_at is null and period.stale_at < %(at)s
        and silent.since > period.silent_since
    returning period.deal_id, period.silent_since
),
settled as (
    update crm.tasks as task
    set state = 'done', done_at = %(at)s
    from ended
    where task.organization_id = 1 and task.job = 'sales/stale_deals' and task.state = 'open'
        and task.subject = 'deal ' || ended.deal_id
        and task.period = sales.period_of(ended.silent_since)
),
begun as (
    insert into sales.stale_deals (deal_id, silent_since, organization_id, stale_at, at_risk_at)
    select id, since, organization_id, %(at)s,
           case when since < %(at)s - interval '720 hours' then %(at)s end
    from silent
    where since < %(at)s - interval '168 hours'
        and not exists (
            select from crm.meetings as meeting
            where meeting.deal_id = silent.id and meeting.status = 'planned'
                and meeting.starts_at >= %(at)s
        )
        and not exists (
            select from crm.tasks as task
            where task.deal_id = silent.id and task.state = 'open' and task.due_at > %(at)s
                and task.job <> 'sales/stale_deals'
        )
    on conflict do nothing
    returning deal_id, silent_since, at_risk_at
),
at_risk as (
    update sales.stale_deals as period
    set at_risk_at = %(at)s
    where period.at_risk_at is null and period.ended_at is null
        and period.silent_since < %(at)s - interval '720 hours'
    returning deal_id, silent_since
),
risky as (
    select deal_id, silent_since from begun where at_risk_at is not null
    union all
    select deal_id, silent_since from at_risk
),
tagged as (
    update crm.deals as deal
    set tags = case when risky.deal_id is null then array_remove(deal.tags, 'at-risk')
        else deal.tags || array['at-risk'] end
    from (select deal_id from ended union select deal_id from risky) as changed
    left join risky on risky.deal_id = changed.deal_id
    where deal.id = changed.deal_id
        and (risky.deal_id is not null or 'at-risk' = any(deal.tags))
),
noted as (
    insert into crm.tasks (
        organization_id, contact_id, deal_id, owner_id, title, due_at, job, subject, period,
        created_at
    )
    select silent.organization_id, silent.contact_id, silent.id, silent.owner_id,
           'Follow up on stale deal', %(at)s, 'bare', 'deal ' || silent.id,
           begun.silent_since::text, %(at)s
    from begun join silent on silent.id = begun.deal_id
    on conflict do nothing
)
insert into crm.notifications (
    organization_id, user_id, contact_id, kind, title, text, ref, job, subject, period, created_at
)
select silent.organization_id, wanted.user_id, silent.contact_id, wanted.kind,
       'Deal inactive for ' || extract(day from %(at)s - wanted.silent_since) || ' days',
       silent.name || ' is inactive.', 'deal:' || silent.id, 'bare', 'deal ' || silent.id,
       wanted.silent_since::text, %(at)s
from (
    select begun.deal_id, silent_since, owner_id as user_id, 'stale_deal' as kind
    from begun join silent on silent.id = begun.deal_id
    union all
    select risky.deal_id, silent_since, users.id, 'deal_at_risk'
    from risky join crm.users as users on users.role = 'admin'
) as wanted
join silent on silent.id = wanted.deal_id
on conflict do nothing
"""


def measure(server: Server, report: Report, repeat: int, deals: int) -> None:
    """A first run over all deals, then days of which the first has 1 % changed."""
    site = server.new_site("sales")
    _build(site, deals)
    name = f"first run over {deals:,} deals"
    compare(site, report, JOB, _BARE, TICK, name, is_bounded=False)
    for day in range(1, repeat + 1):
        tick = TICK + day * DAY
        if day == 1:
            site.execute(_ANSWERS.replace("%(tick)s", "%s"), tick - DAY / 2)
            site.settle()
        name = f"{deals:,} deals, day {day}" + (", 1 % changed" if day == 1 else "")
        compare(site, report, JOB, _BARE, tick, name)
    sales_days.measure(site, report, deals, TICK + (repeat + 1) * DAY)


def _build(site: Site, deals: int) -> None:
    with psycopg.connect(site.url) as connection:
        given = {"users": USERS, "deals": deals, "tick": TICK}
        for statement in (_PEOPLE, _DEALS, _ACTIVITIES):
            connection.execute(statement, given)
    site.settle()
