"""Opportunities, stages, recycling and follow-ups of very many contacts, against bare SQL.

On each of two days, other contacts, one of a hundred, are concerned by each of the jobs.
"""

import datetime as dt

import psycopg

from marketing_pipelines_tests.benchmarks.against_sql import compare
from marketing_pipelines_tests.benchmarks.report import Report
from marketing_pipelines_tests.benchmarks.scores import INTENT_SCORE, LEAD_SCORE
from marketing_pipelines_tests.benchmarks.sites import Site

DAY = dt.timedelta(days=1)
TICK = dt.datetime(2026, 4, 3, 10, tzinfo=dt.UTC)
USERS = 200

_USERS = """
insert into crm.users (organization_id, external_id, role)
select 1, 'u' || n, case n when 1 then 'admin' else 'rep' end
from generate_series(1, %(users)s) as n
"""
_COMPANY = "insert into crm.companies (organization_id, external_id) values (1, 'company')"
# One of ten contacts is lost, one has a follow-up, one belongs to a company.
_CONTACTS = """
update crm.contacts
set owner_id = (select min(id) from crm.users) + id %% %(users)s,
    lead_status = case when id %% 10 = 0 then 'lost' end,
    lead_status_at = case
        when id %% 10 = 0 then %(tick)s - (100 + id %% 300) * interval '1 day'
    end,
    next_follow_up_at = case
        when id %% 100 = 1 then %(tick)s - interval '1 hour'
        when id %% 100 = 11 then %(tick)s + interval '1 hour'
        when id %% 10 = 1 then %(tick)s + interval '90 days'
    end,
    company_id = case when id %% 10 = 2 then (select min(id) from crm.companies) end
where id %% 10 <= 2
"""
_OPPORTUNITIES = """
insert into crm.opportunities
    (organization_id, external_id, contact_id, travel_date, score, created_at)
select 1, 'o' || id, id, cast(%(tick)s as date) + (id / 5 %% 365)::integer, 10,
       %(tick)s::timestamptz - interval '60 days'
from crm.contacts
where id %% 5 = 0
"""
_TRAVELS_MOVE = "update crm.opportunities set travel_date = travel_date + 1 where id % 100 = 0"
# A lost contact looks at a page, a lead sends two forms and asks for a demo.
_EVENTS = """
insert into analytics.contact_activity
    (organization_id, event_id, contact_id, event_type, occurred_at, received_at)
select 1, 's' || %(place)s || '-' || id || event_type || number, id, event_type, %(at)s, %(at)s
from crm.contacts
cross join (
    values (0, 'page_view', 1), (2, 'form_submission', 1), (2, 'form_submission', 2),
           (2, 'demo_request', 1)
) as event (rest, event_type, number)
where id %% 100 = %(place)s * 10 + rest
"""
_BARE_OPPORTUNITIES = """
with earned as (
    select id, case when days <= 7 then 20 when days <= 14 then 15 else 10 end as points
    from (
        select id, travel_date - %(date)s as days
        from crm.opportunities
        where organization_id = 1 and not deleted and created_at < %(at)s
            and upper(coalesce(stage, '')) not in ('CONVERTED', 'JUNK', 'NOT_INTERESTED')
    ) as ahead
    where days between 0 and 30
),
forgotten as (
    delete from leads.opportunity_points
    where organization_id = 1 and date = %(date)s
        and opportunity_id not in (select id from earned)
)
insert into leads.opportunity_points as ledger (organization_id, opportunity_id, date, points)
select 1, id, %(date)s, points from earned
on conflict (opportunity_id, date) do update set points = excluded.points
where ledger.points <> excluded.points
"""
# The first of the moves; no contact makes another on these days.
_BARE_STAGES = f"""
with candidates as materialized (
    select distinct contact_id
    from analytics.contact_activity
    where organization_id = 1 and event_type = 'form_submission' and occurred_at < %(at)s
),
movers as (
    select contact.id
    from crm.contacts as contact
    join ({INTENT_SCORE.format("%(at)s")}) as intent on intent.contact_id = contact.id
    join (
        {LEAD_SCORE} and contact.id in (select contact_id from candidates)
    ) as lead on lead.id = contact.id
    where lower(coalesce(contact.lifecycle_stage, 'lead')) = 'lead'
        and contact.manual_override is not true and intent.score > 50 and lead.score >= 60
        and contact.id in (select contact_id from candidates)
),
moved as (
    update crm.contacts as contact
    set lifecycle_stage = 'mql', lifecycle_stage_at = %(at)s
    from movers where movers.id = contact.id
    returning contact.id
)
insert into leads.lifecycle_history (organization_id, contact_id, "from", "to", at, tick, reason)
select 1, id, 'lead', 'mql', %(at)s, %(at)s, 'lead to mql' from moved
"""
_BARE_RECYCLING = """
with recycled as (
    update crm.contacts as contact
    set lead_status = 'recycled', lead_status_at = %(at)s
    from (
        select lost.id, lost.lead_status as previous, event.event_id
        from crm.contacts as lost
        cross join lateral (
            select event_id from analytics.contact_activity
            where organization_id = 1 and contact_id = lost.id
                and event_type in ('page_view', 'opened')
                and occurred_at >= %(at)s - interval '30 days' and occurred_at < %(at)s
                and not coalesce(properties, '{}') @> '{"machine_open": true}'
            order by occurred_at desc, event_id collate "C" desc
            limit 1
        ) as event
        where lost.organization_id = 1 and lost.lead_status in ('lost', 'unqualified')
            and lost.lead_status_at < %(at)s - interval '90 days'
            and not exists (
                select from lifecycle.enrolments
                where contact_id = lost.id and program_kind = 'sequence' and status = 'active'
            )
    ) as interested
    where contact.id = interested.id
    returning contact.id, contact.owner_id, interested.previous, interested.event_id
),
noted as (
    insert into crm.tasks (
        organization_id, contact_id, owner_id, title, due_at, job, subject, period, created_at
    )
    select 1, id, owner_id, 'Follow up with recycled lead', %(at)s, 'bare', 'contact ' || id,
           cast(%(at)s as text), %(at)s
    from recycled
    returning id, contact_id
)
insert into leads.lead_recycling
    (organization_id, contact_id, tick, previous_status, signal_event, task_id)
select 1, recycled.id, %(at)s, previous, event_id, noted.id
from recycled left join noted on noted.contact_id = recycled.id
"""
_BARE_FOLLOW_UPS = """
with noted as (
    insert into crm.tasks (
        organization_id, contact_id, owner_id, title, due_at, job, subject, period, created_at
    )
    select 1, id, owner_id, 'Follow up with ' || coalesce(first_name, external_id),
           next_follow_up_at, 'leads/follow_ups', 'contact ' || id,
           to_char(next_follow_up_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), %(at)s
    from crm.contacts
    where organization_id = 1 and next_follow_up_at <= %(at)s
    on conflict (organization_id, job, subject, period) do nothing
    returning contact_id, owner_id, title, due_at, subject, period
)
insert into crm.notifications (
    organization_id, user_id, contact_id, kind, title, text, ref, job, subject, period, created_at
)
select 1, owner_id, contact_id, 'follow_up', title, 'The follow-up was set for ' || due_at,
       'contact:' || contact_id, 'leads/follow_ups', subject, period, %(at)s
from noted
on conflict do nothing
"""


def measure(site: Site, report: Report, contacts: int) -> None:
    """Adds two days of each job; the first also looks at everything that was there before."""
    report.say("adding owners, opportunities, lost leads and follow-ups")
    _build(site)
    for place, at in enumerate((TICK, TICK + DAY)):
        _change(site, place, at)
        name = "first day" if place == 0 else "1 % changed"
        name = f"{contacts:,} contacts, {name}"
        night = at.replace(hour=2)
        date = night.date() - DAY
        compare(site, report, "leads/opportunity_scores", _BARE_OPPORTUNITIES, night,
                f"{contacts // 5:,} opportunities, day {place + 1}", partition=f"{date}",
                is_bounded=place == 1, date=date)  # fmt: skip
        for job, bare in (
            ("leads/lifecycle_stages", _BARE_STAGES),
            ("leads/recycled_leads", _BARE_RECYCLING),
            ("leads/follow_ups", _BARE_FOLLOW_UPS),
        ):
            compare(site, report, job, bare, at, name, is_bounded=place == 1)


def _build(site: Site) -> None:
    values = {"users": USERS, "tick": TICK}
    with psycopg.connect(site.url, options="-c timezone=UTC") as connection:
        connection.execute("set session_replication_role = replica")
        for statement in (_USERS, _COMPANY, _CONTACTS, _OPPORTUNITIES):
            connection.execute(statement, values)
    site.settle()


def _change(site: Site, place: int, at: dt.datetime) -> None:
    with psycopg.connect(site.url, options="-c timezone=UTC") as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(_EVENTS, {"place": place, "at": at - DAY / 2})
        if place:
            connection.execute(_TRAVELS_MOVE)
    site.settle()
