"""The files of suppressions and sending domains."""

import json
import re

from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.delivery.tables import (
    CHANNELS,
    WARMUPS,
    sending_domains,
    suppressions,
)
from marketing_pipelines.stores.kinds import (
    Column,
    FileRow,
    Kind,
    Reference,
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

KINDS = (
    Kind(
        "suppressions",
        suppressions,
        key=("contact_id", "channel", "reason"),
        columns=(
            Column("contact_id", required=True, reference=Reference(contacts)),
            Column("channel", choices=(*CHANNELS, "all"), empty="'email'"),
            Column(
                "reason",
                choices=("unsubscribed", "hard_bounce", "complaint", "do_not_contact"),
                required=True,
            ),
            Column("since", "instant", keep=True),
        ),
        attributes=False,
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
