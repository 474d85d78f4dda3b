"""The guard against a wrong sender: a domain whose mails bounce too often is paused.

When a server takes a wrong address for every recipient, each of them would be suppressed. More than
20 % hard bounces of the last 100 mails stop the domain for a day, with one alert and a file that
lifts these suppressions.
"""

import csv
import datetime as dt
from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.tables import sending_domains
from marketing_pipelines.runs import incidents

MAILS = 100
MOST_HARD = 20
PAUSE = dt.timedelta(days=1)
# The first word of the subjects of its incidents.
INCIDENT = "sending-domain"


def judge(
    connection: sa.Connection, domains: Collection[int], now: dt.datetime, folder: Path
) -> None:
    """Pauses domains whose mails bounce too often, and ends the incidents of the others.

    Args:
        folder: Gets the files that lift suppressions.
    """
    statement = sa.text(
        resources.files(__package__).joinpath("sql", "bounce_shares.sql").read_text()
    )
    for domain in connection.execute(statement, {"domains": sorted(domains)}):
        is_paused = domain.paused_until is not None and domain.paused_until > now
        is_bad = domain.mails == MAILS and domain.hard > MOST_HARD
        if is_bad and not is_paused:
            _pause(connection, domain, now, folder)
        elif domain.paused_until is not None and not is_bad and not is_paused:
            _set_pause(connection, domain, None)
            incidents.recovered(connection, _subject(domain))


def _pause(connection: sa.Connection, domain: Any, now: dt.datetime, folder: Path) -> None:
    _set_pause(connection, domain, now + PAUSE)
    path = _write_lifts(domain, folder)
    error = (
        f"{domain.hard} of its last {MAILS} mails bounced hard, most with '{domain.answer}', so it "
        f"is paused until {now + PAUSE:%Y-%m-%d %H:%M} UTC. If the addresses are right, run "
        f"`marketing-pipelines load suppressions {path}`, and load the domain without paused_until."
    )
    incidents.item_failed(
        connection, _subject(domain), "", error, domain.hard, since=now, kind="first"
    )


def _set_pause(connection: sa.Connection, domain: Any, until: dt.datetime | None) -> None:
    connection.execute(
        sa.update(sending_domains)
        .where(sending_domains.c.id == domain.id)
        .values(paused_until=until)
    )


def _write_lifts(domain: Any, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"lift-{domain.organization}-{domain.domain}.csv".replace("/", "_")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("organization_id", "address", "channel", "reason", "action"))
        for address in domain.addresses or ():
            writer.writerow((domain.organization, address, "email", "hard_bounce", "lift"))
    return path


def _subject(domain: Any) -> str:
    return f"{INCIDENT} {domain.organization}/{domain.domain}"
