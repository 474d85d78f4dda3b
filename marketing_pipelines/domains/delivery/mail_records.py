"""The DNS records that receivers judge mail by: SPF and DMARC of sending domains."""

from dataclasses import dataclass

import dns.exception
import dns.resolver

_SECONDS = 3.0


class NoDnsError(Exception):
    """DNS does not answer."""


@dataclass(frozen=True)
class MailRecords:
    """The records of a sending domain.

    Attributes:
        spf: SPF record of the envelope sender's domain; None: there is none.
        dmarc: DMARC record that holds for the sender's domain; None: there is none.
        problems: Sentences about missing or contradicting records.
    """

    spf: str | None
    dmarc: str | None
    problems: list[str]


def own_resolver() -> dns.resolver.Resolver:
    """The machine's resolver, with little patience.

    Raises:
        NoDnsError: none is configured.
    """
    try:
        resolver = dns.resolver.Resolver()
    except dns.exception.DNSException as error:
        raise NoDnsError(str(error)) from error
    resolver.lifetime = _SECONDS
    return resolver


def mail_records(resolver: dns.resolver.Resolver, domain: str, envelope_domain: str) -> MailRecords:
    """The records of a domain.

    Args:
        domain: Domain of the sender that readers see.
        envelope_domain: Domain of the address that bounces go to.

    Raises:
        NoDnsError: nothing answers.
    """
    problems = []
    spf = [text for text in _texts(resolver, envelope_domain) if _is(text, "v=spf1")]
    if not spf:
        problems.append(f"{envelope_domain} has no SPF record (TXT `v=spf1 …`).")
    elif len(spf) > 1:
        problems.append(f"{envelope_domain} has {len(spf)} SPF records, which counts as none.")
    owner, dmarc = _dmarc(resolver, domain)
    if dmarc is None:
        problems.append(f"{domain} has no DMARC record (TXT `v=DMARC1; p=…` of _dmarc.{domain}).")
    elif not f".{envelope_domain}".endswith(f".{owner}"):
        problems.append(
            f"Bounces go to {envelope_domain}, which is not below {owner}: only its DKIM signature "
            "lets a mail pass DMARC."
        )
    return MailRecords(spf[0] if spf else None, dmarc, problems)


def _dmarc(resolver: dns.resolver.Resolver, domain: str) -> tuple[str, str | None]:
    """The domain's record or, if it has none, that of the nearest above it, and which has it."""
    labels = domain.split(".")
    for first in range(len(labels) - 1):
        owner = ".".join(labels[first:])
        for text in _texts(resolver, f"_dmarc.{owner}"):
            if _is(text, "v=dmarc1"):
                return owner, text
    return domain, None


def _is(text: str, version: str) -> bool:
    return text.lower().replace(" ", "").startswith(version)


def _texts(resolver: dns.resolver.Resolver, name: str) -> list[str]:
    try:
        answer = resolver.resolve(name, "TXT")
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except dns.exception.DNSException as error:
        raise NoDnsError(str(error)) from error
    return [b"".join(record.strings).decode(errors="replace") for record in answer]
