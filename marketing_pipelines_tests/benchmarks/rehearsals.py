"""The rehearsal of a program of eight steps over thirty days, copying included."""

import json
import subprocess
import sys
import time

from marketing_pipelines_tests.benchmarks.report import Measured, Report
from marketing_pipelines_tests.benchmarks.sites import Server
from marketing_pipelines_tests.benchmarks.step_world import STEPS

CONTACTS, LIMIT = 10_000, 60
# A campaign begins at once; a journey lets contacts in all the time.
BATCHES = {24: LIMIT, 432: None}
_CAMPAIGN = """
insert into campaigns.campaigns (organization_id, external_id, status) values (1, 'k', 'draft')
"""
_CONTACTS = """
insert into crm.contacts (organization_id, external_id, email, phone, timezone, attributes)
select 1, 'c' || n, 'c' || n || '@example.org', '+4144' || lpad(n::text, 7, '0'),
       (array['Europe/Berlin', 'America/New_York', 'Asia/Kathmandu'])[1 + n %% 3],
       '{"push_token": "t"}'
from generate_series(1, %s::bigint) as n
"""
_STEP = """
insert into lifecycle.steps (organization_id, program_kind, program_id, external_id, position, type,
                             config)
select 1, 'campaign', id, %s, %s, %s, cast(%s as jsonb) from campaigns.campaigns
"""
# Contacts enter in batches, ten minutes after each other.
_ENROLMENTS = """
insert into lifecycle.enrolments (organization_id, program_kind, program_id, contact_id, entered_at)
select 1, 'campaign', campaign.id, contact.id,
       timestamptz '2026-03-02 00:00Z' + (contact.id %% %s) * interval '10 minutes'
from crm.contacts as contact
cross join campaigns.campaigns as campaign
"""
_EVENTS = """
insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,
                                        occurred_at, received_at)
select 1, 'e' || id || '-' || n, id, (array['opened', 'purchase'])[1 + n % 2], at, at
from crm.contacts
cross join generate_series(1, 10) as n
cross join lateral (select timestamptz '2026-03-02Z' + n * interval '1 hour' as at) as made
"""


def measure(server: Server, report: Report, repeat: int) -> None:
    """The command as a process; every contact opens mails in the first ten hours."""
    site = server.new_site("rehearsals")
    report.say(f"making {CONTACTS:,} contacts with ten events each")
    site.execute("insert into crm.organizations (external_id) values ('acme')")
    site.execute(_CAMPAIGN)
    site.execute(_CONTACTS, CONTACTS)
    for place, (kind, config) in enumerate(STEPS):
        site.execute(_STEP, f"s{place}", place, kind, json.dumps(config))
    site.execute(_EVENTS)
    command = [
        *(sys.executable, "-m", "marketing_pipelines", "program", "rehearse", "campaign", "k"),
        *("--organization", "acme", "--contacts", str(CONTACTS), "--json"),
        *("--from", "2026-03-02T00:00:00Z"),
    ]
    for batches, limit in BATCHES.items():
        site.execute("truncate lifecycle.enrolments")
        site.execute(_ENROLMENTS, batches)
        site.settle()
        seconds = []
        for _ in range(repeat):
            began = time.monotonic()
            done = subprocess.run(
                command, env=site.variables, check=True, stdout=subprocess.PIPE, text=True
            )
            seconds.append(time.monotonic() - began)
            found = json.loads(done.stdout)
            assert found["contacts"] == CONTACTS
            assert sum(one["messages"] for one in found["days"]) > CONTACTS
        name = f"rehearse 30 days of 10,000 contacts in {batches} batches"
        note = f"8 steps, {found['instants']:,} instants"
        report.add(Measured(name, seconds, "s", limit, note=note))
