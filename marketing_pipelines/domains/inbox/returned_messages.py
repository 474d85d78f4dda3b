"""Messages that came back: bounces and complaints that prove themselves become events of messages.

Anybody can send a bounce. One counts if it gives back a signature of ours: it came to the signed
address of a message, or holds its signed `Message-ID`. A `Message-ID` that a provider gave the
message counts together with the message's recipient.
"""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.delivery.bounce_addresses import message_of
from marketing_pipelines.domains.delivery.hooks import recording
from marketing_pipelines.domains.delivery.hooks.events import HookEvent
from marketing_pipelines.domains.delivery.hooks.verdicts import (
    COMPLAINED,
    FAILED,
    HARD,
    NOTED,
    SOFT,
    UNSUBSCRIBED,
)
from marketing_pipelines.domains.delivery.message_ids import proven_number
from marketing_pipelines.domains.inbox.bounces import RecipientReport, Returned
from marketing_pipelines.domains.inbox.mails import Mail
from marketing_pipelines.domains.inbox.statements import statement
from marketing_pipelines.secret_keys import signing_keys
from marketing_pipelines.settings import Settings

PROVIDER = "mailbox"
_MILDEST_FIRST = (NOTED, FAILED, SOFT, UNSUBSCRIBED, COMPLAINED, HARD)


def settle_returned(
    connection: sa.Connection,
    mails: Mapping[int, Mail],
    organization_id: int,
    now: dt.datetime,
    settings: Settings,
) -> None:
    """Settles messages whose bounces and complaints prove themselves, with their suppressions."""
    returned = [(mail, mail.returned) for mail in mails.values() if mail.returned is not None]
    if not returned:
        return
    base = settings_of(connection, organization_id).delivery.bounce_address
    keys = signing_keys(settings)
    signed = [_signed_numbers(mail, one, base, keys) for mail, one in returned]
    names = {name for _, one in returned for name in one.message_ids}
    given = {
        "organization_id": organization_id,
        "numbers": sorted(set[int]().union(*signed)),
        "names": sorted(names | {_local_part(name) for name in names}),
    }
    messages = connection.execute(statement("returned_messages"), given).all()
    events = [
        event
        for (mail, one), numbers in zip(returned, signed, strict=True)
        for event in _events(mail, one, numbers, messages)
    ]
    if events:
        recording.record(connection, events, now=now)


def _signed_numbers(
    mail: Mail, returned: Returned, base: str | None, keys: Sequence[str]
) -> set[int]:
    """The messages whose signed addresses or Message-IDs a mail gives back."""
    numbers = {proven_number(name, keys) for name in returned.message_ids}
    addresses = (
        *mail.to_addresses,
        *mail.cc_addresses,
        *mail.delivered_to,
        *returned.return_paths,
    )
    if base is not None:
        numbers |= {message_of(one, base, keys) for one in addresses}
    return {number for number in numbers if number is not None}


def _events(
    mail: Mail, returned: Returned, signed: Collection[int], messages: Sequence[sa.Row[Any]]
) -> Iterator[HookEvent]:
    for message in messages:
        report = _report_on(message, returned, is_signed=message.id in signed)
        if report is None or report.verdict == NOTED:
            continue
        yield HookEvent(
            provider=PROVIDER,
            verdict=report.verdict,
            payload={"identity": mail.identity, "addresses": list(report.addresses)},
            recipient=message.address,
            message_id=message.id,
            occurred_at=mail.sent_at,
            own_id=f"{mail.identity}:{message.id}",
            reason=report.reason,
        )


def _report_on(
    message: sa.Row[Any], returned: Returned, *, is_signed: bool
) -> RecipientReport | None:
    """The report on a message; None: there is none, or it does not prove itself."""
    own = [one for one in returned.reports if message.address in one.addresses]
    is_named = any(
        message.provider_message_id in (name, _local_part(name)) for name in returned.message_ids
    )
    if not (is_signed or (is_named and (own or message.address in returned.receivers))):
        return None
    # A recipient who forwards mail is not in the report: its mildest part is about a copy.
    return min(own or returned.reports, key=_severity, default=None)


def _severity(report: RecipientReport) -> int:
    return _MILDEST_FIRST.index(report.verdict)


def _local_part(name: str) -> str:
    return name.partition("@")[0]
