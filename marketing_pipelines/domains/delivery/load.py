"""The files of suppressions, sending domains and templates, and those of consent."""

import json
import re
from importlib import resources

from marketing_pipelines.domains.crm.references import CONTACT
from marketing_pipelines.domains.delivery.addresses import address_of
from marketing_pipelines.domains.delivery.consent.load import CONSENT_KINDS
from marketing_pipelines.domains.delivery.named_templates.load import TEMPLATES
from marketing_pipelines.domains.delivery.tables import (
    REASONS,
    STORED_CHANNELS,
    WARMUPS,
    sending_domains,
    suppressions,
)
from marketing_pipelines.stores.kinds import (
    Column,
    FileRow,
    Kind,
    Statements,
)


def _domain_problem(row: FileRow) -> str | None:
    domain = row.get("domain") or ""
    if not _DOMAIN.fullmatch(domain):
        return f"'{domain}' is no domain name in lower case, such as news.example.org"
    return None


def _from_problem(row: FileRow) -> str | None:
    address, domain = row.get("from_address") or "", row.get("domain") or ""
    local, _, of = address.rpartition("@")
    if not local or of.lower() != domain:
        return f"'{address}' is no address of {domain}"
    return None


def _reply_problem(row: FileRow) -> str | None:
    address = row.get("reply_to")
    if address is not None and not re.fullmatch(r"[^@\s<>,]+@[^@\s<>,]+", address):
        return f"'{address}' is no e-mail address"
    return None


def _headers_problem(row: FileRow) -> str | None:
    try:
        headers = json.loads(row.get("headers") or "{}")
    except ValueError:
        return None
    if not isinstance(headers, dict):
        return None
    for name, value in headers.items():
        if not re.fullmatch(r"X-[A-Za-z0-9-]+", name) or not isinstance(value, str):
            return f"'{name}' is no header of one's own: its name begins with X-, its value is text"
    return None


def _rate_problem(row: FileRow) -> str | None:
    rate = row.get("per_second")
    if rate is not None and not re.fullmatch(r"\d{1,6}", rate):
        return f"'{rate}' is no number of mails a second: write 0 or more"
    return None


_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]{2,}")


def _contact_problem(row: FileRow) -> str | None:
    contact, address = row.get("contact_id"), row.get("address")
    if (contact is None) == (address is None):
        return "a suppression names a contact_id or an address, one of the two"
    return None


def _address_problem(row: FileRow) -> str | None:
    address, channel = row.get("address"), row.get("channel") or "email"
    if address is None or channel not in (*STORED_CHANNELS, "all"):
        return None
    if channel in ("all", "webhook"):
        return f"an address has the channel email, sms or push, not {channel}"
    if address_of(channel, address) is None:
        return f"'{address[:60]}' is no phone number: write + and 7 to 15 digits"
    return None


def _read(name: str) -> str:
    return resources.files(__package__).joinpath("sql", f"{name}.sql").read_text()


KINDS = (
    *CONSENT_KINDS,
    TEMPLATES,
    Kind(
        "suppressions",
        suppressions,
        key=("contact_id", "address", "channel", "reason"),
        columns=(
            Column("contact_id", reference=CONTACT, problem=_contact_problem),
            Column("address", problem=_address_problem, names=("email", "sms", "push")),
            Column("channel", choices=(*STORED_CHANNELS, "all"), empty="'email'"),
            Column(
                "reason",
                choices=tuple(reason for reason in REASONS if reason != "erased"),
                required=True,
            ),
            Column("since", "instant", keep=True),
            Column("action", choices=("add", "lift"), empty="'add'"),
        ),
        attributes=False,
        statements=Statements(
            prepare=_read("suppression_entries"),
            insert=_read("add_suppressions"),
            change=_read("change_suppressions"),
        ),
    ),
    Kind(
        "sending_domains",
        sending_domains,
        key=("domain",),
        columns=(
            Column("domain", required=True, problem=_domain_problem),
            Column("from_address", required=True, problem=_from_problem),
            Column("from_name"),
            Column("reply_to", problem=_reply_problem),
            Column("headers", "object", empty="'{}'", problem=_headers_problem),
            Column("is_default", "boolean", empty="false"),
            Column("warmup", choices=WARMUPS, empty="'auto'"),
            Column("per_second", "integer", empty="0", problem=_rate_problem),
            Column("paused_until", "instant"),
        ),
        attributes=False,
    ),
)
