"""Alerts to the owners: intents, delivered once each, by any number of senders.

A sender notes the beginning of a delivery before it connects. If the sender dies during the
delivery, it is not known whether the alert arrived: the alert becomes `unknown` and is not
repeated, because each alert is sent at most once.
"""

import datetime as dt
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.addresses import Address, of_owner
from marketing_pipelines.redaction import redact
from marketing_pipelines.runs.tables import alerts
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores import intents
from marketing_pipelines.stores.postgres import Begin
from marketing_pipelines.stores.tables import incidents

UI_VARIABLE = "DAGSTER_UI_URL"
LEASE = dt.timedelta(minutes=2)
# A sensor that takes longer than 60 s is killed.
SECONDS_PER_ROUND = 20.0
BACK_OFF = tuple(dt.timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 60, 60, 60))
_EARLIER = alerts.alias("earlier")
# A failure must not be read after its recovery.
_ITS_TURN = ~sa.exists().where(
    _EARLIER.c.incident_id == alerts.c.incident_id,
    _EARLIER.c.id < alerts.c.id,
    _EARLIER.c.state.in_(intents.NOT_ENDED),
)


@dataclass(frozen=True)
class Recipients:
    """Routes of alerts: addresses, owners and muted subjects.

    Attributes:
        owner_of: The owner of a subject; None if it has no owner.
        is_muted: True if the subject's policy says that it does not alert.
    """

    addresses: list[Address]
    owner_of: Callable[[str], str | None]
    is_muted: Callable[[str], bool]


def deliver(begin: Begin, recipients: Recipients, now: dt.datetime) -> int:
    """Delivers the alerts that are due, for at most 20 s; returns how many were sent.

    Alerts of one incident go out in order, each when the one before it has ended.
    """
    with begin() as connection:
        intents.give_up(connection, alerts, now=now)
    started = time.monotonic()
    sent = 0
    while time.monotonic() - started < SECONDS_PER_ROUND:
        with begin() as connection:
            claimed = intents.claim(
                connection, alerts, limit=1, lease=LEASE, now=now, where=_ITS_TURN
            )
            if not claimed:
                break
            [alert] = claimed
            told = connection.execute(
                sa.select(incidents).where(incidents.c.id == alert.incident_id)
            ).one()
            reason = _why_not(recipients, told.subject)
            if reason is not None:
                intents.settle(connection, alerts, alert, state=reason[0], reason=reason[1])
                continue
            intents.begin(connection, alerts, alert, lease=LEASE, now=now)
        sent += _send(begin, recipients, alert, told, now)
    return sent


def _why_not(recipients: Recipients, subject: str) -> tuple[str, str] | None:
    if recipients.is_muted(subject):
        return "muted", "The job's policy says that it does not alert."
    if not of_owner(recipients.addresses, recipients.owner_of(subject)):
        return "unaddressed", "MARKETING_ALERT_URLS names no address for it."
    return None


def _send(begin: Begin, recipients: Recipients, alert: Any, told: Any, now: dt.datetime) -> int:
    taken = list(alert.delivered_to)
    missed = []
    for address in of_owner(recipients.addresses, recipients.owner_of(told.subject)):
        if address.fingerprint in taken:
            continue
        if _notify(address, alert.kind, told):
            taken.append(address.fingerprint)
        else:
            missed.append(address.url.partition("://")[0])
    with begin() as connection:
        connection.execute(
            sa.update(alerts)
            .where(alerts.c.id == alert.id, alerts.c.claim == alert.claim)
            .values(delivered_to=sa.cast(taken, pg.ARRAY(sa.Text)))
        )
        if not missed:
            intents.settle(connection, alerts, alert, state="sent")
            return 1
        reason = f"An address ({', '.join(missed)}://…) did not take it."
        if alert.attempts > len(BACK_OFF):
            intents.settle(connection, alerts, alert, state="failed", reason=reason)
        else:
            due_at = now + BACK_OFF[alert.attempts - 1]
            intents.retry(connection, alerts, alert, due_at=due_at, reason=reason)
    return 0


def _notify(address: Address, kind: str, told: Any) -> bool:
    import apprise

    receiver = apprise.Apprise()
    receiver.add(address.url)
    how = apprise.NotifyType.SUCCESS if kind == "recovery" else apprise.NotifyType.FAILURE
    return bool(receiver.notify(title=title(kind, told), body=body(kind, told), notify_type=how))


def title(kind: str, told: Any) -> str:
    """One line: the subject and its failure or recovery."""
    subject, _, rest = told.subject.partition(" ")
    if subject in _STATES and rest:
        began, ended = _STATES[subject]
        return f"{rest} {ended if kind == 'recovery' else began}"
    what = f"{told.subject}, {told.item}" if told.item else told.subject
    return {
        "first": f"{what} failed",
        "third": f"{what} failed {_times(told.failures)} in a row",
        "recovery": f"{what} has recovered",
    }[kind]


# Incidents that only health reports: how they begin and end.
_STATES = {
    "overdue": ("is overdue", "is on time again"),
    "file": ("cannot be imported", "is imported again"),
    "sending-domain": ("is paused for hard bounces", "bounces no more than it may"),
    "line": ("takes no messages", "takes messages again"),
    "dead-letters": ("has dead letters", "has no dead letters any more"),
}


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def body(kind: str, told: Any) -> str:
    """Returns the text of an alert: the error, its times, the run, the page to read."""
    since = f"{told.opened_at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
    if kind == "recovery":
        is_state = told.subject.partition(" ")[0] in _STATES
        return (
            f"Since {since}." if is_state else f"It failed {_times(told.failures)} since {since}."
        )
    lines = [str(redact(told.error)), f"Since {since}."]
    if told.run_id is not None:
        lines.append(f"Latest run: {page_of_run(told.run_id) or told.run_id}.")
    return "\n".join([*lines, "What to do: docs/operations.md."])


def page_of_run(run_id: str) -> str | None:
    """Returns the run's page in the Dagster UI; None: no address is known. The address is
    `MARKETING_UI_URL`, else the place at which `up` serves it."""
    address = get_settings().ui_url or os.environ.get(UI_VARIABLE)
    return f"{address.rstrip('/')}/runs/{run_id}" if address else None
