"""SPF, DMARC and alignment of sending domains, asked from a name server on loopback."""

import contextlib
import socketserver
import threading
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from marketing_pipelines.cli.doctor_of_channels import check_mail_domains
from marketing_pipelines.domains.delivery.mail_records import NoDnsError, mail_records
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines_tests.delivery.test_warmup import domain
from marketing_pipelines_tests.delivery.world import World

RECORDS = {
    "a.org": ['"google-site-verification=1"', '"v=spf1 include:relay.example " "-all"'],
    "_dmarc.a.org": ['"v=DMARC1; p=reject"'],
    "news.a.org": ['"v=spf1 -all"'],
    "two.org": ['"v=spf1 -all"', '"v=spf1 ~all"'],
    "_dmarc.two.org": ['"something else"'],
    "bounces.relay.example": ['"v=spf1 -all"'],
}


class _Answer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, socket = self.request
        asked = dns.message.from_wire(data)
        name = asked.question[0].name
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.RA
        texts = RECORDS.get(name.to_text(omit_final_dot=True))
        if texts is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *texts))
        socket.sendto(answer.to_wire(), self.client_address)


@contextlib.contextmanager
def name_server() -> Iterator[dns.resolver.Resolver]:
    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], server.server_address[1]
        resolver.lifetime = 3
        yield resolver
        server.shutdown()


@pytest.fixture(scope="module")
def resolver() -> Iterator[dns.resolver.Resolver]:
    with name_server() as made:
        yield made


def test_a_domain_with_both_records_has_no_problem(resolver: dns.resolver.Resolver) -> None:
    found = mail_records(resolver, "a.org", "a.org")
    assert (found.spf, found.dmarc, found.problems) == (
        "v=spf1 include:relay.example -all",
        "v=DMARC1; p=reject",
        [],
    )


def test_the_dmarc_record_of_the_domain_above_holds(resolver: dns.resolver.Resolver) -> None:
    found = mail_records(resolver, "news.a.org", "a.org")
    assert (found.dmarc, found.problems) == ("v=DMARC1; p=reject", [])


@pytest.mark.parametrize(
    ("domain", "envelope", "problems"),
    [
        (
            "none.org",
            "none.org",
            [
                "none.org has no SPF record (TXT `v=spf1 …`).",
                "none.org has no DMARC record (TXT `v=DMARC1; p=…` of _dmarc.none.org).",
            ],
        ),
        (
            "two.org",
            "two.org",
            [
                "two.org has 2 SPF records, which counts as none.",
                "two.org has no DMARC record (TXT `v=DMARC1; p=…` of _dmarc.two.org).",
            ],
        ),
        (
            "a.org",
            "bounces.relay.example",
            [
                "Bounces go to bounces.relay.example, which is not below a.org: only its DKIM"
                " signature lets a mail pass DMARC."
            ],
        ),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(
    resolver: dns.resolver.Resolver, domain: str, envelope: str, problems: list[str]
) -> None:
    assert mail_records(resolver, domain, envelope).problems == problems


def test_a_server_that_does_not_answer_says_nothing_about_the_domain() -> None:
    with name_server() as resolver:
        pass
    resolver.lifetime = 0.2
    with pytest.raises(NoDnsError):
        mail_records(resolver, "a.org", "a.org")


def test_doctor_names_the_problems_of_all_domains_or_says_that_there_are_none(
    world: World, resolver: dns.resolver.Resolver
) -> None:
    assert check_mail_domains(resolver) == "none"
    domain(world, "a.org")
    domain(world, "news.a.org")
    assert check_mail_domains(resolver) == "SPF and DMARC of a.org, news.a.org"
    world.execute(
        """update crm.organizations set settings = '{"delivery": {"bounce_address": "b@x.org"}}'"""
    )
    with pytest.raises(ConfigurationError, match=r"x\.org has no SPF record.* not below a"):
        check_mail_domains(resolver)
    with name_server() as gone:
        pass
    gone.lifetime = 0.2
    assert check_mail_domains(gone) == (
        "DNS does not answer, so the records of 2 domains are not known"
    )
