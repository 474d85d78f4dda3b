"""Scores of very many contacts of which few change, against the same rules as bare SQL."""

import datetime as dt
import time
from typing import Any

import psycopg

from marketing_pipelines_tests.benchmarks.report import Measured, Report
from marketing_pipelines_tests.benchmarks.sites import Server, Site

DAY = dt.timedelta(days=1)
NOW = dt.datetime(2026, 4, 1, 2, tzinfo=dt.UTC)
MIDNIGHT = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
CHANGED = 100  # one contact of so many
MOST_RATIO, MOST_SECONDS, MOST_MEGABYTES = 3, 60, 512

_CONTACTS = """
insert into crm.contacts (organization_id, external_id, email, phone, first_name, last_name)
select 1, 'c' || n, 'c' || n || '@example.org', case when n %% 3 = 0 then '+4917' || n end, 'F',
       case when n %% 2 = 0 then 'L' end
from generate_series(1, %s::bigint) as n
"""
# A history of old signals, and recent ones of one contact of a hundred.
_EVENTS = """
insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,
                                        occurred_at, received_at)
select 1, %(name)s || n, 1 + n * %(every)s %% %(contacts)s,
       (array['page_view', 'opened', 'clicked', 'form_submission', 'demo_request'])[1 + n %% 5],
       %(until)s - (n %% 1000) * %(span)s::interval / 1000 - interval '1 second', now()
from generate_series(1, %(number)s::bigint) as n
"""
_SCORE = """
    select contact_id, sum(rest) as score
    from (
        select contact_id, points - 2 * age as rest, age
        from (
            select contact_id, points,
                   floor(extract(epoch from {0} - occurred_at) / 86400) as age
            from analytics.contact_activity
            join (values ('page_view', 5, 1), ('opened', 3, 1), ('clicked', 10, 2),
                         ('form_submission', 20, 7), ('demo_request', 50, 22))
                as signal (type, points, days) on type = event_type
            where organization_id = 1 and occurred_at < {0}
                and occurred_at >= {0} - days * interval '1 day'
                and not coalesce(properties, '{{}}') @> '{{"machine_open": true}}'
                and not coalesce(properties, '{{}}') @> '{{"machine_click": true}}'
        ) as aged
    ) as decayed
    where age = 0 or rest >= 10
    group by contact_id
"""
# The day has the scores at its end, the contacts those at the tick.
_BARE_INTENT = f"""
with score as ({_SCORE.format("%(at)s")}),
day as (
    insert into leads.intent_days (organization_id, contact_id, date, score, band)
    select 1, contact_id, %(date)s, floor(score + 0.5),
           case when score > 50 then 'high' when score > 20 then 'medium' else 'low' end
    from ({_SCORE.format("%(midnight)s")}) as at_its_end
    on conflict (contact_id, date) do update set score = excluded.score, band = excluded.band
)
update crm.contacts as contact
set intent_score = new.score, intent_band = new.band
from (
    select contact.id, coalesce(floor(score + 0.5), 0)::integer as score,
           case when score > 50 then 'high' when score > 20 then 'medium' else 'low' end as band
    from crm.contacts as contact
    left join score on score.contact_id = contact.id
    where score.contact_id is not null or contact.intent_band is not null
) as new
where contact.id = new.id
    and (contact.intent_score, contact.intent_band) is distinct from (new.score, new.band)
"""
_COUNT = """
    select contact_id, count(*) filter (where {0}) as number from analytics.contact_activity
    where organization_id = 1 and event_type = '{1}' and occurred_at < %(at)s
        and occurred_at >= %(at)s - interval '{2} days'
    group by contact_id
"""
_COUNTED = (
    ("visits", "page_view", 30),
    ("replies", "replied", 90),
    ("forms", "form_submission", 90),
    ("demos", "demo_request", 180),
    ("purchases", "purchase", 365),
    ("unsubscribed", "unsubscribed", 365),
    ("bounced", "bounced", 90),
)
_BARE_LEADS = (
    """
update crm.contacts as contact
set lead_score = new.score,
    lead_grade = case when score >= 80 then 'A' when score >= 60 then 'B' when score >= 40 then 'C'
        when score >= 20 then 'D' else 'F' end
from (
    select contact.id, least(100, greatest(0,
               case when coalesce(email, '') <> '' then 5 else 0 end
               + case when coalesce(phone, '') <> '' then 5 else 0 end
               + case when coalesce(first_name, '') <> '' and coalesce(last_name, '') <> '' then 5
                   else 0 end
               + case when company_id is not null then 10 else 0 end
               + least(10, coalesce(visits.number, 0)) + least(15, 5 * coalesce(clicks.number, 0))
               + least(20, 10 * coalesce(replies.number, 0))
               + least(30, 15 * coalesce(forms.number, 0))
               + case when demos.number > 0 then 25 else 0 end
               + case when purchases.number > 0 then 10 else 0 end
               - case when unsubscribed.number > 0 then 20 else 0 end
               - case when bounced.number > 0 then 10 else 0 end))::integer as score
    from crm.contacts as contact
    left join (
        select contact_id, count(distinct (occurred_at at time zone 'UTC')::date) as number
        from analytics.contact_activity
        where organization_id = 1 and event_type = 'clicked' and occurred_at < %(at)s
            and occurred_at >= %(at)s - interval '30 days'
        group by contact_id
    ) as clicks on clicks.contact_id = contact.id
"""
    + "".join(
        f"left join ({_COUNT.format('true', kind, days)}) as {name}"
        f" on {name}.contact_id = contact.id\n"
        for name, kind, days in _COUNTED
    )
    + """
    where organization_id = 1
) as new
where contact.id = new.id
    and (contact.lead_score, contact.lead_grade) is distinct from (
        new.score, case when score >= 80 then 'A' when score >= 60 then 'B' when score >= 40 then
            'C' when score >= 20 then 'D' else 'F' end)
"""
)


def measure(server: Server, report: Report, contacts: int) -> None:
    """Adds the first run over all contacts, and one after a day in which one of 100 changed."""
    site = server.new_site("leads")
    report.say(f"making {contacts:,} contacts")
    _build(site, contacts)
    for job, bare in (("leads/intent_scores", _BARE_INTENT), ("leads/lead_scores", _BARE_LEADS)):
        _run(site, report, job, bare, NOW, f"{job}, first run over {contacts:,}")
    site.settle()
    _add(site, "new", contacts // CHANGED, CHANGED, contacts, MIDNIGHT + DAY, DAY)
    for job, bare in (("leads/intent_scores", _BARE_INTENT), ("leads/lead_scores", _BARE_LEADS)):
        name = f"{job}, 1 % of {contacts:,} changed"
        seconds, bare_seconds, memory = _run(site, report, job, bare, NOW + DAY, name)
        report.add(Measured(f"{name}: of bare SQL", [seconds / bare_seconds], "times", MOST_RATIO))
        report.add(Measured(f"{name}: memory", [memory], "MB", MOST_MEGABYTES))


def _build(site: Site, contacts: int) -> None:
    with psycopg.connect(site.url, autocommit=True, options="-c timezone=UTC") as connection:
        connection.execute("insert into crm.organizations (external_id) values ('acme')")
        connection.execute("select analytics.ensure_activity_month('2026-02-01')")
        connection.execute("select analytics.ensure_activity_month('2026-03-01')")
        connection.execute("select analytics.ensure_activity_month('2026-04-01')")
        # Past the triggers, which loads are measured with.
        connection.execute("set session_replication_role = replica")
        connection.execute(_CONTACTS, (contacts,))
    _add(site, "old", contacts * 2, 1, contacts, MIDNIGHT - 30 * DAY, 20 * DAY)
    _add(site, "recent", contacts // CHANGED, CHANGED, contacts, MIDNIGHT, 20 * DAY)
    site.settle()


def _add(
    site: Site,
    name: str,
    number: int,
    every: int,
    contacts: int,
    until: dt.datetime,
    span: dt.timedelta,
) -> None:
    values = {
        "name": name,
        "number": number,
        "every": every,
        "contacts": contacts,
        "until": until,
        "span": span,
    }
    with psycopg.connect(site.url, autocommit=True, options="-c timezone=UTC") as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(_EVENTS, values)


def _run(
    site: Site, report: Report, job: str, bare: str, at: dt.datetime, name: str
) -> tuple[float, float, float]:
    """Runs the bare statement, taken back, and the job; returns seconds of both, and memory."""
    midnight = at.replace(hour=0)
    values = {"at": at, "midnight": midnight, "date": at.date() - DAY}
    with psycopg.connect(site.url, options="-c timezone=UTC") as connection:
        started = time.monotonic()
        rows = connection.execute(bare, values).rowcount
        bare_seconds = time.monotonic() - started
        connection.rollback()
    site.settle()
    day = [f"{at - DAY:%Y-%m-%d}"] if job == "leads/intent_scores" else []
    run: dict[str, Any] = site.child("run_at", job, at.isoformat(), *day)
    [session] = run["sessions"]
    assert session["status"] == "COMPLETED", run
    memory = run["peak_mb"] - run["idle_mb"]
    note = f"{rows:,} contacts changed; bare SQL {bare_seconds:.2f} s; {memory:.0f} MB above idle"
    report.add(Measured(name, [session["seconds"]], "s", MOST_SECONDS, note=note))
    return session["seconds"], bare_seconds, memory
