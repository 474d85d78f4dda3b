"""The generated world's organizations, people and campaigns as CSV load files."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from marketing_pipelines.demo.event_batches import contact_ids, numbered
from marketing_pipelines.demo.rhythm import HOUR, NEVER, SECOND, Ints
from marketing_pipelines.demo.world import Campaign, World

_CHUNK = 100_000
_CONTACTS_PER_COMPANY = 9
_REPRESENTATIVES = 3
_ENROLMENT = HOUR // 2

_FIRST_NAMES = (
    *("Aino", "Bruno", "Chloé", "Dmitri", "Elif", "Fatima", "Giulia", "Håkon", "Ibrahim"),
    *("Jürgen", "Kaori", "Lucía", "Mateus", "Nguyễn", "Olivia", "Priya", "Σοφία", "美咲"),
)
_LAST_NAMES = (
    *("Andersson", "Becker", "Côté", "D'Angelo", "Evans", "García", "Hoffmann", "Iyer"),
    *("Jensen", "Kowalska", "Łukasik", "Martin", "Nakamura", "O'Neill", "Pereira", "Šimić", "山田"),
)
_COMPANY_NAMES = ("Nordwind", "Blue Heron", "Kestrel", "Alder & Co", "Santos", "Mosaic", "Vela")
_STAGES = ("lead", "lead", "lead", "lead", "lead", "mql", "mql", "sql", "opportunity", "customer")
_TITLES = ("Buyer", "Head of Marketing", "Geschäftsführerin", "Engineer", "Founder", None)
_INTERESTS = ('["outdoor"]', '["garden", "books"]', '["cycling", "travel", "food"]', "[]", None)


def write_organizations(world: World, path: Path) -> Path:
    """One row per organization, with its time zone."""
    members = world.organizations
    return _write(
        path,
        {
            "external_id": [member.external_id for member in members],
            "name": [member.name for member in members],
            "timezone": [member.timezone for member in members],
        },
    )


def write_users(world: World, path: Path) -> Path:
    """Per organization one admin and three representatives that own its contacts."""
    rows = [
        (f"{member.external_id}-u{number}", member.external_id, number)
        for member in world.organizations
        for number in range(_REPRESENTATIVES + 1)
    ]
    return _write(
        path,
        {
            "external_id": [user for user, _, _ in rows],
            "organization_id": [owner for _, owner, _ in rows],
            "email": [f"{user}@{owner}.example" for user, owner, _ in rows],
            "name": [f"{_FIRST_NAMES[n]} {_LAST_NAMES[n]}" for _, _, n in rows],
            "role": ["rep" if number else "admin" for _, _, number in rows],
        },
    )


def write_companies(world: World, path: Path) -> Path:
    """One company for every nine contacts."""
    ids: list[str] = []
    owners: list[str] = []
    for member, size in zip(world.organizations, np.diff(world.first_contact), strict=True):
        companies = _companies(int(size))
        ids += [
            str(company) for company in numbered(f"{member.external_id}-k", np.arange(companies), 6)
        ]
        owners += [member.external_id] * companies
    names = [f"{_COMPANY_NAMES[n % len(_COMPANY_NAMES)]} {n}" for n in range(len(ids))]
    domains = [f"{company}.example" for company in ids]
    columns = {"external_id": ids, "organization_id": owners, "name": names, "domain": domains}
    return _write(path, columns)


def write_contacts(world: World, path: Path) -> Path:
    """One row per contact, some without an e-mail address; job and interests are attributes."""
    ids = contact_ids(world)
    schema = pa.schema([(name, pa.string()) for name in _contact_columns(world, ids, 0, 0, 0)])
    with csv.CSVWriter(str(path), schema) as writer:
        for number, (first, after) in enumerate(_runs(world)):
            for begin in range(first, after, _CHUNK):
                end = min(begin + _CHUNK, after)
                columns = _contact_columns(world, ids, number, begin, end)
                writer.write_table(pa.table(columns, schema=schema))
    return path


def write_campaigns(world: World, path: Path) -> Path:
    """One row per campaign, with the instants at which its status changed."""
    campaigns = world.campaigns
    owners = [world.organizations[campaign.organization].external_id for campaign in campaigns]
    return _write(
        path,
        {
            "external_id": [campaign.external_id for campaign in campaigns],
            "organization_id": owners,
            "name": [campaign.name for campaign in campaigns],
            "status": [campaign.status for campaign in campaigns],
            "started_at": _instants([campaign.started for campaign in campaigns]),
            "completed_at": _instants([_ended(campaign, "completed") for campaign in campaigns]),
            "cancelled_at": _instants([_ended(campaign, "cancelled") for campaign in campaigns]),
        },
    )


def write_campaign_contacts(world: World, stopped_at: Ints, path: Path) -> Path:
    """One row per contact of a campaign.

    `stopped_at` is the instant per contact from which nothing is sent to it
    (`SimulatedMail.stopped_at` once all events are made): a contact that stopped before the
    campaign is not in it, one that stopped during it left it then.
    """
    ids = contact_ids(world)
    names = ("organization_id", "campaign_id", "contact_id", "status")
    instants = ("entered_at", "completed_at", "exited_at")
    schema = pa.schema([(name, pa.string()) for name in (*names, *instants)])
    with csv.CSVWriter(str(path), schema) as writer:
        for campaign in world.campaigns:
            if campaign.started is not None:
                owner = world.organizations[campaign.organization].external_id
                for columns in _enrolments(campaign, campaign.started, stopped_at, ids, owner):
                    writer.write_table(pa.table(columns, schema=schema))
    return path


def _enrolments(
    campaign: Campaign, started: int, stopped_at: Ints, ids: pa.StringArray, owner: str
) -> Iterator[dict[str, pa.StringArray]]:
    """Columns of one campaign's enrolments, at most a chunk at a time."""
    audience = max(campaign.audience, 1)
    for begin in range(0, campaign.audience, _CHUNK):
        place = np.arange(begin, min(begin + _CHUNK, campaign.audience))
        contact = campaign.first_contact + place
        entered = started + place * _ENROLMENT // audience
        taken = np.flatnonzero(stopped_at[contact] > entered)
        place, contact, entered = place[taken], contact[taken], entered[taken]
        finished = campaign.finishes(place)
        stopped = stopped_at[contact]
        left = stopped < finished
        done = ~left & (finished < NEVER) & (campaign.status == "completed")
        exited = left | ((finished < NEVER) & (campaign.status == "cancelled"))
        status = np.where(done, "completed", np.where(exited, "exited", "active"))
        yield {
            "organization_id": pa.repeat(owner, len(contact)),
            "campaign_id": pa.repeat(campaign.external_id, len(contact)),
            "contact_id": ids.take(contact),
            "status": pa.array(status, type=pa.string()),
            "entered_at": _texts_of(entered, np.ones(len(contact), dtype=np.bool_)),
            "completed_at": _texts_of(finished, done),
            "exited_at": _texts_of(np.minimum(stopped, finished), exited),
        }


def _contact_columns(
    world: World, ids: pa.StringArray, number: int, begin: int, end: int
) -> dict[str, pa.StringArray]:
    """Columns of the contacts `begin` to `end` of one organization."""
    owner = world.organizations[number].external_id
    runs = _runs(world)[number]
    place = np.arange(begin, end) - runs[0]
    company = numbered(f"{owner}-k", place % _companies(runs[1] - runs[0]), 6)
    names = ids.slice(begin, end - begin)
    domain = pc.binary_join_element_wise(company, "example", ".")
    address = pc.binary_join_element_wise(names, domain, "@")
    addressless = pa.array(world.addressless(np.arange(begin, end)))
    representatives = [f"{owner}-u{user + 1}" for user in range(_REPRESENTATIVES)]
    return {
        "external_id": names,
        "organization_id": pa.repeat(owner, len(names)),
        "email": pc.if_else(addressless, None, address),
        "first_name": _pick(_FIRST_NAMES, place * 7),
        "last_name": _pick(_LAST_NAMES, place * 11 + place // 19),
        "company_id": company,
        "owner_id": _pick(representatives, place),
        "lifecycle_stage": _pick(_STAGES, place * 3 + place // 10),
        "job_title": _pick(_TITLES, place * 5 + place // 6),
        "interests": _pick(_INTERESTS, place * 2 + place // 5),
    }


def _runs(world: World) -> list[tuple[int, int]]:
    """First contact of each organization, and the one after its last."""
    bounds = [int(bound) for bound in world.first_contact]
    return list(itertools.pairwise(bounds))


def _companies(contacts: int) -> int:
    return contacts // _CONTACTS_PER_COMPANY + 1


def _ended(campaign: Campaign, status: str) -> int | None:
    return campaign.ended if campaign.status == status else None


def _pick(choices: Sequence[str | None], places: Ints) -> pa.StringArray:
    return pa.array(choices, type=pa.string()).take(places % len(choices))


def _instants(values: Sequence[int | None]) -> pa.StringArray:
    known = np.array([value is not None for value in values])
    return _texts_of(np.array([value or 0 for value in values], dtype=np.int64), known)


def _texts_of(instants: Ints, known: npt.NDArray[np.bool_]) -> pa.StringArray:
    """ISO 8601 in UTC to the second, null where not known."""
    seconds = pa.array(instants // SECOND, mask=~known).cast(pa.timestamp("s"))
    return pc.strftime(seconds, format="%Y-%m-%dT%H:%M:%SZ")


def _write(path: Path, columns: Mapping[str, Sequence[str | None] | pa.StringArray]) -> Path:
    csv.write_csv(pa.table(dict(columns)), str(path))
    return path
