"""Scores of very many contacts of which few change, against the same rules as bare SQL."""

import datetime as dt

import psycopg

from marketing_pipelines_tests.benchmarks import stages
from marketing_pipelines_tests.benchmarks.against_sql import compare
from marketing_pipelines_tests.benchmarks.report import Report
from marketing_pipelines_tests.benchmarks.scores import INTENT_SCORE, LEAD_SCORE
from marketing_pipelines_tests.benchmarks.sites import Server, Site

DAY = dt.timedelta(days=1)
NOW = dt.datetime(2026, 4, 1, 2, tzinfo=dt.UTC)
MIDNIGHT = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
CHANGED = 100  # one contact of so many

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
# The day has the scores at its end, the contacts those at the tick.
_BARE_INTENT = f"""
with score as ({INTENT_SCORE.format("%(at)s")}),
day as (
    insert into leads.intent_days (organization_id, contact_id, date, score, band)
    select 1, contact_id, %(date)s, floor(score + 0.5),
           case when score > 50 then 'high' when score > 20 then 'medium' else 'low' end
    from ({INTENT_SCORE.format("%(midnight)s")}) as at_its_end
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
_BARE_LEADS = f"""
update crm.contacts as contact
set lead_score = new.score,
    lead_grade = case when score >= 80 then 'A' when score >= 60 then 'B' when score >= 40 then 'C'
        when score >= 20 then 'D' else 'F' end
from ({LEAD_SCORE}) as new
where contact.id = new.id
    and (contact.lead_score, contact.lead_grade) is distinct from (
        new.score, case when score >= 80 then 'A' when score >= 60 then 'B' when score >= 40 then
            'C' when score >= 20 then 'D' else 'F' end)
"""


def measure(server: Server, report: Report, contacts: int) -> None:
    """Adds the first run over all contacts, and one after a day in which one of 100 changed."""
    site = server.new_site("leads")
    report.say(f"making {contacts:,} contacts")
    _build(site, contacts)
    _compare(site, report, NOW, f"first run over {contacts:,}", is_bounded=False)
    site.settle()
    _add(site, "new", contacts // CHANGED, CHANGED, contacts, MIDNIGHT + DAY, DAY)
    _compare(site, report, NOW + DAY, f"1 % of {contacts:,} changed", is_bounded=True)
    stages.measure(site, report, contacts)


def _compare(site: Site, report: Report, at: dt.datetime, name: str, *, is_bounded: bool) -> None:
    day = at.date() - DAY
    compare(site, report, "leads/intent_scores", _BARE_INTENT, at, name, partition=f"{day}",
            is_bounded=is_bounded, midnight=at.replace(hour=0), date=day)  # fmt: skip
    compare(site, report, "leads/lead_scores", _BARE_LEADS, at, name, is_bounded=is_bounded)


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
