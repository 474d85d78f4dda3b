"""Meeting briefs and daily insights over many deals, against bare SQL.

One deal of a hundred has a meeting in the window of each tick, and one has changed its
stage on each day.
"""

import datetime as dt

import psycopg

from marketing_pipelines_tests.benchmarks.against_sql import compare
from marketing_pipelines_tests.benchmarks.report import Report
from marketing_pipelines_tests.benchmarks.sites import Site

DAY = dt.timedelta(days=1)


_COMPANIES = """
insert into crm.companies (organization_id, external_id, name, domain)
select 1, 'company' || n, 'Company ' || n, 'c' || n || '.example' from generate_series(0, 999) as n
"""
_CONTACTS = """
update crm.contacts
set first_name = 'First', last_name = 'Last ' || id,
    company_id = (select min(id) from crm.companies) + id %% 1000,
    created_at = %(tick)s - id %% 100 * interval '1 day'
"""
_HISTORY = """
insert into crm.deal_stage_history
    (organization_id, deal_id, "from", "to", from_status, to_status, at)
select 1, id, 'New', 'Proposal', 'open', 'open', %(tick)s - id %% 100 * interval '1 day'
from crm.deals
"""
_MEETINGS = """
insert into crm.meetings
    (organization_id, external_id, title, starts_at, owner_id, deal_id, attendees)
select 1, 'm' || id || '-' || %(tick)s, 'Review', %(tick)s + interval '30 minutes'
           + id %% 29 * interval '1 minute', owner_id, id, array['c' || contact_id]
from crm.deals
where id %% 100 = %(place)s
"""
_BARE_BRIEFS = """
with asked as materialized (
    select meeting.id, meeting.starts_at, meeting.owner_id, meeting.deal_id,
           contact.id as contact_id,
           concat_ws(' ', contact.first_name, contact.last_name) as name, company.name as company,
           contact.lifecycle_stage, contact.lead_score, contact.lead_grade, contact.intent_score
    from crm.meetings as meeting
    join crm.meeting_contacts as attending on attending.meeting_id = meeting.id
    join crm.contacts as contact on contact.id = attending.contact_id
    left join crm.companies as company on company.id = contact.company_id
    where meeting.status = 'planned' and meeting.starts_at >= %(at)s + interval '30 minutes'
        and meeting.starts_at < %(at)s + interval '60 minutes'
),
described as materialized (
    select asked.*, deals.lines as deals, activities.lines as activities, tasks.lines as tasks,
           deals.topics
    from asked
    cross join lateral (
        select jsonb_agg(jsonb_build_object(
                   'text', 'Open deal: ' || deal.name || ', ' || deal.currency || ' ' || deal.amount
                       || ' (' || deal.stage || ' stage)',
                   'rows', jsonb_build_array('deal:' || deal.id))) as lines,
               jsonb_agg(jsonb_build_object(
                   'text', 'Next step for ' || deal.name || ' after ' || deal.stage,
                   'rows', jsonb_build_array('deal:' || deal.id))) as topics
        from crm.deals as deal
        where (deal.id = asked.deal_id or deal.contact_id = asked.contact_id)
            and deal.status = 'open' and deal.created_at < %(at)s
    ) as deals
    cross join lateral (
        select jsonb_agg(jsonb_build_object(
                   'text', 'Last contacted ' || date_trunc('day', %(at)s - latest.occurred_at)
                       || ': ' || latest.kind || ' by ' || users.external_id,
                   'rows', jsonb_build_array(latest.origin || ':' || latest.origin_id))) as lines
        from (
            select * from crm.timeline
            where contact_id = asked.contact_id and occurred_at < %(at)s
                and kind in ('email', 'call', 'meeting', 'note')
            order by occurred_at desc
            limit 3
        ) as latest
        left join crm.users as users on users.id = latest.user_id
    ) as activities
    cross join lateral (
        select jsonb_agg(jsonb_build_object('text', 'Open task: ' || title,
                                            'rows', jsonb_build_array('task:' || id))) as lines
        from (
            select title, id from crm.tasks
            where state = 'open' and created_at < %(at)s
                and (contact_id = asked.contact_id or deal_id = asked.deal_id)
            order by due_at
            limit 5
        ) as open
    ) as tasks
),
written as (
    insert into sales.meeting_briefs (
        organization_id, meeting_id, version, headline, key_points, talking_points, questions,
        facts, writer, created_at
    )
    select 1, id, md5(starts_at::text), 'Meeting in '
               || floor(extract(epoch from starts_at - %(at)s) / 60) || ' minutes: ' || name
               || ' @ ' || company,
           coalesce(activities, '[]') || coalesce(tasks, '[]') || coalesce(deals, '[]'),
           coalesce(topics, '[]'), '["What are the top 3 pain points?"]',
           jsonb_build_object('contact:' || contact_id, jsonb_build_object(
               'name', name, 'stage', lifecycle_stage, 'lead_score', lead_score,
               'grade', lead_grade, 'intent', intent_score)),
           'bare', %(at)s
    from described
    on conflict do nothing
    returning meeting_id, headline, key_points, version
)
insert into crm.notifications (
    organization_id, user_id, kind, title, text, ref, job, subject, period, created_at
)
select 1, meeting.owner_id, 'meeting_brief', headline,
       (select string_agg(point ->> 'text', E'\\n') from jsonb_array_elements(key_points) as point),
       'meeting:' || meeting_id, 'bare', 'meeting ' || meeting_id, version, %(at)s
from written
join crm.meetings as meeting on meeting.id = written.meeting_id
"""
_BARE_INSIGHTS = """
with day as materialized (
    select %(midnight)s - n * interval '7 days' - interval '1 day' as "start",
           %(midnight)s - n * interval '7 days' as "end"
    from generate_series(0, 8) as n
),
happened as (
    select 'new_contacts' as metric, created_at as at from crm.contacts
    where source <> 'stub' and created_at >= %(midnight)s - interval '57 days'
    union all
    select 'new_deals', created_at from crm.deals
    where status is not null and created_at >= %(midnight)s - interval '57 days'
    union all
    select 'stage_changes', at from crm.deal_stage_history
    where from_status is not null and "from" is distinct from "to"
        and at >= %(midnight)s - interval '57 days'
    union all
    select 'won_deals', closed_at from crm.deals
    where status = 'won' and closed_at >= %(midnight)s - interval '57 days'
),
counted as (
    select metric, day."start", count(*) as number
    from happened join day on happened.at >= day."start" and happened.at < day."end"
    group by 1, 2
),
stuck as (
    select stage, count(*) as deals from crm.deals where status = 'open'
    group by stage
    having max(coalesce(stage_changed_at, created_at)) <= %(midnight)s - interval '5 days'
),
performers as (
    select user_id, count(*) as activities from crm.timeline
    where occurred_at >= %(midnight)s - interval '1 day' and occurred_at < %(midnight)s
        and (kind in ('call', 'meeting', 'note') or kind = 'email' and direction = 'out')
    group by user_id order by 2 desc limit 3
),
responses as (
    select percentile_cont(0.5) within group (order by hours) as hours
    from (
        select extract(epoch from answer.occurred_at - max(received.occurred_at)) / 3600 as hours
        from crm.activities as answer
        join crm.activities as received
            on received.contact_id = answer.contact_id and received.kind = 'email'
            and received.direction = 'in' and received.occurred_at < answer.occurred_at
        where answer.occurred_at >= %(midnight)s - interval '1 day'
            and answer.occurred_at < %(midnight)s
            and (answer.kind = 'email' and answer.direction = 'out' or answer.kind = 'call')
        group by answer.id
    ) as answered
)
insert into sales.insights (organization_id, date, metrics, writer, digest, created_at)
select 1, date '2000-01-01', jsonb_build_object(
           'counts', (select jsonb_agg(counted) from counted),
           'stuck', (select jsonb_agg(stuck) from stuck),
           'performers', (select jsonb_agg(performers) from performers),
           'responses', (select hours from responses)),
       'bare', 'bare', %(at)s
"""


def measure(site: Site, report: Report, deals: int, tick: dt.datetime) -> None:
    """Adds two days of both jobs, after those of stale deals."""
    values = {"tick": tick}
    with psycopg.connect(site.url, options="-c timezone=UTC") as connection:
        connection.execute("set session_replication_role = replica")
        for statement in (_COMPANIES, _CONTACTS, _HISTORY):
            connection.execute(statement, values)
    for place in (0, 1):
        at = tick + place * DAY
        with psycopg.connect(site.url, options="-c timezone=UTC") as connection:
            connection.execute(_MEETINGS, {"tick": at, "place": place})
        site.settle()
        name = f"{deals:,} deals, day {place + 1}"
        compare(site, report, "sales/meeting_briefs", _BARE_BRIEFS, at, name,
                is_bounded=place == 1)  # fmt: skip
        compare(site, report, "sales/daily_insights", _BARE_INSIGHTS, at.replace(hour=8), name,
                is_bounded=place == 1, midnight=at.replace(hour=0, minute=0))  # fmt: skip
