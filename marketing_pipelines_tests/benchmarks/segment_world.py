"""One organization with very many contacts, their events, and fifty segments of mixed kinds."""

import datetime as dt
import json
from typing import Any

import psycopg

from marketing_pipelines_tests.benchmarks.sites import Site

NOW = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
DAYS = 90
NEW_EVENTS = 10_000
_CITIES = "{Aarhus,Bern,Cork,Dresden,Espoo,Faro,Ghent,Haarlem,Inari,Jena,Kyiv,Lyon,Malmö,Nantes}"

_CONTACTS = """
insert into crm.contacts (organization_id, external_id, email, lifecycle_stage, intent_score,
                          attributes)
select 1, 'c' || n, 'c' || n || '@example.org',
       (array['lead', 'lead', 'lead', 'mql', 'mql', 'sql', 'customer'])[1 + n * 7919 %% 7],
       n * 104729 %% 100,
       jsonb_build_object(
           'city', (cast(%s as text[]))[1 + n * 31 %% 14],
           'plan', (array['free', 'free', 'pro', 'team'])[1 + n * 17 %% 4],
           'spend', n * 7 %% 1000,
           'renewal', to_char(date '2025-07-01' + (n * 13 %% 730)::integer, 'YYYY-MM-DD'),
           'tags', jsonb_build_array('t' || n %% 10, 'u' || n %% 7),
           'address', jsonb_build_object('country', (array['CH', 'DE', 'FI'])[1 + n %% 3]))
from generate_series(%s::bigint, %s::bigint) as n
"""
# Written past the triggers: loading is measured elsewhere, and would take longer than all of this.
_EVENTS = """
insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,
                                        source_type, source_id, occurred_at, received_at,
                                        properties)
select 1, %s || n, 1 + (hashint8(n)::bigint + 2147483648) %% %s,
       case when kind < 40 then 'sent' when kind < 75 then 'delivered' when kind < 90 then 'opened'
            when kind < 95 then 'clicked' when kind < 98 then 'page_view' else 'purchase' end,
       case when kind < 95 then 'campaign' end, case when kind < 95 then 1 + other %% 20 end,
       at, at,
       case when kind >= 98
                then jsonb_build_object('amount', other %% 200, 'category', 'k' || n %% 5)
            when kind >= 95 then jsonb_build_object('path', '/p' || n %% 50) end
from generate_series(%s::bigint, %s::bigint) as n
cross join lateral (
    select (hashint8extended(n, 1) & 1048575) %% 100 as kind,
           hashint8extended(n, 2) & 1048575 as other,
           %s + n * %s::interval as at
) as own
"""


def build(site: Site, contacts: int, events: int) -> None:
    """Fills an installation and has it settle."""
    with psycopg.connect(site.url, autocommit=True, options="-c timezone=UTC") as connection:
        run = connection.execute
        run(
            "insert into crm.organizations (external_id, timezone) values ('acme', 'Europe/Berlin')"
        )
        run(
            "insert into campaigns.campaigns (organization_id, external_id, status)"
            " select 1, 'k' || n, 'imported' from generate_series(1, 20) as n"
        )
        for first in range(1, contacts + 1, 100_000):
            run(_CONTACTS, (_CITIES, first, min(first + 99_999, contacts)))
        start = NOW - dt.timedelta(days=DAYS)
        for month in range(5):
            run(
                "select analytics.ensure_activity_month(%s)",
                (dt.date(2025, 12, 1) + month * dt.timedelta(days=31),),
            )
        run("set session_replication_role = replica")
        step = dt.timedelta(days=DAYS) / events
        for first in range(0, events, 1_000_000):
            last = min(first + 999_999, events - 1)
            run(_EVENTS, ("e", contacts, first, last, start, step))
        run("set session_replication_role = origin")
        run("delete from segments.touched_contacts")
        for number, rule in enumerate(rules()):
            run(
                "insert into segments.segments (organization_id, external_id, rule)"
                " values (1, %s, %s)",
                (f"s{number}", json.dumps(rule)),
            )
    site.settle()


def add_events(site: Site, contacts: int, after: dt.datetime, number: int, name: str) -> None:
    """New events of a second each, as the platform writes them."""
    step = dt.timedelta(seconds=60) / number
    with psycopg.connect(site.url, autocommit=True, options="-c timezone=UTC") as connection:
        connection.execute(_EVENTS, (name, contacts, 0, number - 1, after, step))


def rules() -> list[Any]:
    """Fifty rules: attributes, events, both, windows of every length, references to each other."""
    listed: list[Any] = []
    for city in ("Bern", "Lyon", "Malmö"):
        listed.append({"attribute": "city", "op": "=", "value": city})
    for plan in ("pro", "team"):
        listed.append({"attribute": "plan", "op": "in", "value": [plan, "trial"]})
    for country in ("CH", "DE"):
        listed.append({"attribute": "address.country", "op": "=", "value": country})
    for low in (50, 80, 95):
        listed.append({"attribute": "intent_score", "op": ">=", "value": low})
    for stage in ("mql", "customer"):
        listed.append({"attribute": "lifecycle_stage", "op": "=", "value": stage})
    listed.append({"attribute": "tags", "op": "contains", "value": "t3"})
    listed.append({"attribute": "spend", "op": "between", "value": [100, 300]})
    listed.append({"attribute": "email", "op": "ends_with", "value": "7@example.org"})
    listed.append({"attribute": "renewal", "op": "within_next", "value": "30d"})
    listed.append({"attribute": "renewal", "op": "before", "value": "-6mo"})
    listed.append({"attribute": "renewal", "op": "anniversary", "value": "this_month"})
    for days in (1, 3, 7, 14):
        listed.append({"event": "opened", "within": f"{days}d"})
    for days in (7, 30):
        listed.append({"event": "clicked", "within": f"{days}d"})
    for times in (2, 3, 5):
        listed.append({"event": "opened", "times": times, "within": "30d"})
    listed.append({"event": "purchase"})
    listed.append({"event": "purchase", "op": "=", "times": 0, "within": "90d"})
    listed.append({"event": "page_view", "since": "this_month"})
    listed.append({"event": "sent", "times": 10, "within": "60d"})
    for campaign in ("k1", "k7", "k13"):
        listed.append({"event": "opened", "source": campaign})
    listed.append({"event": "clicked", "source": ["k2", "k3", "k4"], "within": "45d"})
    for amount in (50, 150):
        where = [{"property": "amount", "op": ">=", "value": amount}]
        listed.append({"event": "purchase", "where": where})
    listed.append(
        {"event": "purchase", "last": [{"property": "category", "op": "=", "value": "k2"}]}
    )
    listed.append(
        {"event": "page_view", "where": [{"property": "path", "op": "starts_with", "value": "/p1"}]}
    )
    for city in ("Bern", "Cork"):
        opened = {"event": "opened", "within": "30d"}
        listed.append({"all": [{"attribute": "city", "op": "=", "value": city}, opened]})
    never = {"event": "clicked", "op": "=", "times": 0, "within": "60d"}
    listed.append({"all": [{"event": "opened", "times": 2, "within": "60d"}, never]})
    listed.append({"not": {"event": "opened", "within": "60d"}})
    buyer = {"event": "purchase", "within": "30d"}
    listed.append(
        {"any": [buyer, {"attribute": "lifecycle_stage", "op": "=", "value": "customer"}]}
    )
    listed.append({"all": [{"segment": "s0"}, {"not": {"segment": "s26"}}]})
    listed.append({"any": [{"segment": "s10"}, {"segment": "s27"}]})
    listed.append({"all": [{"attribute": "intent_score", "op": "<", "value": 10}, never]})
    listed.append({"all": [{"event": "delivered", "times": 5, "within": "30d"}, {"not": buyer}]})
    listed.append({"all": []})
    listed.append({"any": []})
    return listed
