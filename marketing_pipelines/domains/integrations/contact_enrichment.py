"""Facts about contacts from an enrichment provider: title, city and company, by address.

One call asks about ten contacts, and its answer is stored before the next call. An
attempt that ends half-way therefore costs at most one call again, and what it did counts against
the night's limit.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.http import (
    ServiceClient,
    WrongAnswerError,
)
from marketing_pipelines.domains.integrations.providers import ENRICHMENT
from marketing_pipelines.domains.integrations.spacing import Spacing
from marketing_pipelines.domains.integrations.syncs import (
    PACING,
    Pacing,
    Synced,
    SyncReport,
    sync_each,
)
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import Settings

PATH = "/api/v1/people/bulk_match"
AT_ONCE = 10
MAX_FIELD_LENGTH = 500
MINUTE = 60.0
FIELDS = ("title", "city")


def enrich(tick: Tick, pacing: Pacing = PACING) -> None:
    """Asks about the contacts that are due, in every organization with a connection."""
    sync_each(tick, ENRICHMENT, "contacts", partial(_enrich, tick), pacing)


def check(settings: Settings, connection: Connection) -> str:
    """Asks about nobody, which costs nothing.

    Raises:
        MarketingPipelinesError: the service does not answer as it should.
    """
    with _client(settings, connection) as service:
        _matches(service, [])
    return "the service answers"


def _enrich(tick: Tick, synced: Synced) -> SyncReport:
    own, report = synced.connection, SyncReport()
    with tick.begin() as connection:
        limits = settings_of(connection, own.organization_id).enrichment
        values = {
            "organization_id": own.organization_id,
            "tick": tick.instant,
            "before": tick.instant - dt.timedelta(days=limits.again_after_days),
        }
        due = connection.execute(
            _statement("due_for_enrichment"), values | {"most": limits.per_run}
        ).all()
    counts = {"contacts_asked": 0, "contacts_matched": 0}
    with _client(tick.settings, own, synced.ends_at) as service:
        for start in range(0, len(due), AT_ONCE):
            batch = due[start : start + AT_ONCE]
            # Contacts with one address are one question.
            addresses = list(dict.fromkeys(row.address for row in batch))
            found = dict(zip(addresses, _matches(service, addresses), strict=True))
            matches = [
                {"contact_id": row.id, "address": row.address, **found[row.address]}
                for row in batch
            ]
            with tick.begin(isolation="read committed") as connection:
                report.rows += _store(connection, values, matches)
            counts["contacts_asked"] += len(batch)
            counts["contacts_matched"] += sum(bool(match["fields"]) for match in matches)
    with tick.begin() as connection:
        count = connection.execute(_statement("count_due_for_enrichment"), values)
        report.backlog = count.scalar_one()
    report.counts = counts
    report.synced_until = tick.instant
    return report


def _store(
    connection: sa.Connection, values: Mapping[str, Any], matches: Sequence[Mapping[str, Any]]
) -> int:
    """Writes the answer of one call; returns the number of contacts that it changed."""
    bound = {**values, "matches": list(matches)}
    connection.execute(_statement("add_companies"), bound)
    connection.execute(_statement("complete_companies"), bound)
    return int(connection.execute(_statement("enrich_contacts"), bound).scalar_one())


def _client(
    settings: Settings, connection: Connection, ends_at: float | None = None
) -> ServiceClient:
    fields = connection.fields(settings)
    return ServiceClient(
        fields.url,
        headers={"X-Api-Key": fields.api_key.get_secret_value()},
        spacing=Spacing(fields.per_minute, MINUTE),
        ends_at=ends_at,
    )


def _matches(service: ServiceClient, addresses: Sequence[str]) -> list[dict[str, Any]]:
    """Returns `fields`, `domain`, `company` and `facts` that the service has of each address.

    Raises:
        WrongAnswerError: it does not answer each question.
    """
    answer = service.post(PATH, {"details": [{"email": address} for address in addresses]})
    matches = answer.json_object().get("matches")
    if not isinstance(matches, list) or len(matches) != len(addresses):
        raise WrongAnswerError(
            f"{answer.source} does not answer with one match for each of {len(addresses)} "
            "addresses."
        )
    return [_read(match) for match in matches]


def _read(match: Any) -> dict[str, Any]:
    person = match if isinstance(match, dict) else {}
    employer = person.get("organization")
    employer = employer if isinstance(employer, dict) else {}
    employees = employer.get("estimated_num_employees")
    facts = {
        "industry": _text(employer.get("industry")),
        "employees": employees if type(employees) is int and employees >= 0 else None,
    }
    domain = _text(employer.get("primary_domain"))
    return {
        "fields": _without_none({name: _text(person.get(name)) for name in FIELDS}),
        "domain": domain.lower() if domain else None,
        "company": _text(employer.get("name")),
        "facts": _without_none(facts),
    }


def _text(value: Any) -> str | None:
    """A text in one line; None where there is none."""
    if not isinstance(value, str):
        return None
    return " ".join(value.replace("\0", "").split())[:MAX_FIELD_LENGTH] or None


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _statement(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text()
    statement = sa.text(text)
    if ":matches" in text:
        statement = statement.bindparams(sa.bindparam("matches", type_=pg.JSONB))
    return statement
