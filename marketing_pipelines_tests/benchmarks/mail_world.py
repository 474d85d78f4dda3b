"""Very many messages of a few organizations, written as the step engine writes them."""

import json

import psycopg

from marketing_pipelines_tests.benchmarks.sites import Site

# A mail of the usual size: styles to inline, a condition, links, a footer of the project's own.
CONTENT = {
    "subject": "News for {{ first_name }}",
    "text": "Dear {{ first_name }},\n\n" + "There is something new this week.\n" * 10,
    "html": (
        "<html><head><style>p { color: #333 } a { color: #06c }</style></head><body>"
        "<p>Dear {{ first_name }}{% if plan == 'gold' %}, our golden guest{% endif %}</p>"
        + "<p>There is <a href='https://shop.example.org/news'>something new</a> this week.</p>"
        * 10
        + "</body></html>"
    ),
}
_CONTACTS = """
insert into crm.contacts (organization_id, external_id, email, first_name, last_name, attributes)
select %(organization)s, 'c' || n, 'c' || n || '@' || %(domain)s, 'Ann', 'Lee',
       jsonb_build_object('plan', (array['free', 'gold'])[1 + n %% 2])
from generate_series(1, %(count)s) as n
"""
# Each contact has as many messages as the world needs: one of each step.
_MESSAGES = """
insert into delivery.messages (organization_id, channel, contact_id, address, program_kind,
                               program_id, step_id, rotation, content_id, due_at, queued_at, state,
                               claimed_at, sent_at, attempts)
select contact.organization_id, 'email', contact.id, contact.email, 'campaign', %(program)s,
       %(step)s, 1, %(content)s, now(), now(), %(state)s, %(at)s, %(at)s,
       (%(at)s::timestamptz is not null)::integer
from crm.contacts as contact
where contact.organization_id = %(organization)s
order by contact.id
limit %(count)s
"""


class MailWorld:
    """The organizations of one installation, each with a program and contacts."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._steps = 0

    def organization(self, name: str, contacts: int, settings: str = "{}") -> int:
        """An organization with a warm domain, an active campaign and contacts; returns its number.

        The campaign has the same number.
        """
        with psycopg.connect(self.site.url, autocommit=True) as connection:
            run = connection.execute
            (number,) = run(
                "insert into crm.organizations (external_id, name, settings)"
                " values (%s, %s, %s) returning id",
                (name, name.title(), settings),
            ).fetchone() or (0,)
            run(
                "insert into delivery.sending_domains (organization_id, domain, from_address,"
                " is_default, warmup) values (%s, %s, %s, true, 'off')",
                (number, f"{name}.org", f"news@{name}.org"),
            )
            run(
                "insert into campaigns.campaigns (id, organization_id, external_id, status)"
                " overriding system value values (%s, %s, 'k', 'active')",
                (number, number),
            )
            run(
                "insert into delivery.contents (organization_id, digest, content)"
                " values (%s, 'd', %s)",
                (number, json.dumps(CONTENT)),
            )
            run(_CONTACTS, {"organization": number, "domain": f"{name}.example", "count": contacts})
        return int(number)

    def messages(self, organization: int, count: int, *, settled: bool = False) -> None:
        """Messages of one more step, queued or sent a while ago."""
        self._steps += 1
        with psycopg.connect(self.site.url, autocommit=True) as connection:
            run = connection.execute
            (content,) = run(
                "select id from delivery.contents where organization_id = %s", (organization,)
            ).fetchone() or (0,)
            (at,) = run("select now() - interval '40 days'").fetchone() or (None,)
            run(
                _MESSAGES,
                {
                    "organization": organization,
                    "program": organization,
                    "step": self._steps,
                    "content": content,
                    "count": count,
                    "state": "sent" if settled else "queued",
                    "at": at if settled else None,
                },
            )
