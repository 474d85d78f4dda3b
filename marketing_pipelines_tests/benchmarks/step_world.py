"""Very many contacts in five hundred campaigns of eight steps, and the loop that it replaces."""

import datetime as dt
import json
import time

import psycopg

from marketing_pipelines_tests.benchmarks.sites import Site

NOW = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
PROGRAMS = 500
DUE = 200_000
BY_ROW = 2_000
STEPS = (
    ("send_email", {"subject": "News", "text": "Hello {{ first_name }}"}),
    ("wait", {"for": "3d"}),
    ("branch", {"rule": {"event": "opened", "within": "3d"}, "no": "s6"}),
    ("send_sms", {"text": "Have a look"}),
    ("wait_for", {"event": "clicked", "timeout": "2d"}),
    ("send_push", {"title": "News", "text": "Have a look"}),
    ("update_contact", {"set": {"nurtured": "yes"}}),
    ("exit", {"reason": "through"}),
)
_STEPS = """
insert into lifecycle.steps (organization_id, program_kind, program_id, external_id, position, type,
                             config)
select 1, 'campaign', n, %s, %s, %s, cast(%s as jsonb) from generate_series(1, %s) as n
"""
# Cohorts that come due at the mail an hour after each other; the rest waits, half for a click.
_ENROLMENTS = """
insert into lifecycle.enrolments (organization_id, program_kind, program_id, contact_id, entered_at,
                                  step_id, arrived_at, next_step_at, awaits)
select 1, 'campaign', program, n, %(now)s, step.id, %(now)s,
       case when place = 0 then cast(%(now)s as timestamptz) + cohort * interval '1 hour'
            else cast(%(now)s as timestamptz) + interval '30 days' end,
       case when place = 4 then 'clicked' end
from generate_series(%(first)s::bigint, %(last)s::bigint) as n
cross join lateral (
    select 1 + n * 7919 %% %(programs)s as program,
           case when n <= %(by_row)s then -1 else (n - %(by_row)s - 1) / %(due)s end as cohort
) as own
cross join lateral (
    select case when cohort < %(cohorts)s then 0 when n %% 2 = 0 then 1 else 4 end as place
) as at
join lifecycle.steps as step
    on step.program_kind = 'campaign' and step.program_id = program and step.position = place
order by n
"""


def build(site: Site, enrolments: int, due: int, cohorts: int) -> None:
    """Fills an installation and has it settle."""
    with psycopg.connect(site.url, autocommit=True, options="-c timezone=UTC") as connection:
        run = connection.execute
        run("insert into crm.organizations (external_id) values ('acme')")
        run(
            "insert into campaigns.campaigns (organization_id, external_id, status)"
            " select 1, 'k' || n, 'active' from generate_series(1, %s) as n",
            (PROGRAMS,),
        )
        for place, (step_type, config) in enumerate(STEPS):
            run(_STEPS, (f"s{place}", place, step_type, json.dumps(config), PROGRAMS))
        run(
            "insert into crm.contacts (organization_id, external_id, email, phone, attributes)"
            " select 1, 'c' || n, 'c' || n || '@example.org', '+41', '{\"push_token\": \"t\"}'"
            " from generate_series(1, %s) as n",
            (enrolments,),
        )
        for first in range(1, enrolments + 1, 100_000):
            run(
                _ENROLMENTS,
                {
                    "now": NOW,
                    "first": first,
                    "last": min(first + 99_999, enrolments),
                    "programs": PROGRAMS,
                    "by_row": BY_ROW,
                    "due": due,
                    "cohorts": cohorts,
                },
            )
    site.settle()


def loop(site: Site) -> float:
    """Contacts a second of the handler that this replaces: one contact after the other, each step
    read, judged, written and committed by itself. It takes the contacts who came due first."""
    with psycopg.connect(site.url, options="-c timezone=UTC") as connection:
        run = connection.execute
        started = time.monotonic()
        due = run(
            "select id, contact_id, program_id, step_id, rotation from lifecycle.enrolments"
            " where program_kind = 'campaign' and status = 'active' and next_step_at < %s",
            (NOW,),
        ).fetchall()
        for enrolment, contact, program, step, rotation in due:
            position, _ = run(
                "select position, config from lifecycle.steps where id = %s", (step,)
            ).fetchone() or (0, None)
            email = run("select email from crm.contacts where id = %s", (contact,)).fetchone()
            suppressed = run(
                "select reason from delivery.suppressions where contact_id = %s"
                " and channel in ('email', 'all')",
                (contact,),
            ).fetchone()
            if email and not suppressed:
                run(
                    "insert into delivery.messages (organization_id, channel, contact_id,"
                    " program_kind, program_id, step_id, rotation, content_id, due_at, queued_at)"
                    " values (1, 'email', %s, 'campaign', %s, %s, %s, 1, %s, %s)",
                    (contact, program, step, rotation, NOW, NOW),
                )
            run(
                "insert into lifecycle.step_results (enrolment_id, step_id, outcome, at)"
                " values (%s, %s, 'done', %s)",
                (enrolment, step, NOW),
            )
            following = run(
                "select id, config ->> 'for' from lifecycle.steps where program_kind = 'campaign'"
                " and program_id = %s and position > %s order by position limit 1",
                (program, position),
            ).fetchone()
            run(
                "update lifecycle.enrolments set step_id = %s, arrived_at = %s, next_step_at = %s"
                " where id = %s",
                (following and following[0], NOW, NOW + dt.timedelta(days=3), enrolment),
            )
            connection.commit()
        return len(due) / (time.monotonic() - started)
