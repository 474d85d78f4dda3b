"""The participants of the generated activity: organizations, their contacts, their campaigns.

Sizes follow a Zipf law (rank to the power -1.5): of eight organizations the first has half of
everything. Contacts are numbers from 0 upwards, each organization's without a gap, each
campaign's audience a run of them.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from marketing_pipelines.demo.rhythm import DAY, HOUR, NEVER, DemoPeriod, Floats, Ints, Rhythm

Pattern = Literal["newsletter", "promotion", "drip"]

_EVENTS_PER_CONTACT = 40
_MAX_CONTACTS = 1_000_000
_MIN_CONTACTS = 12
_ADDRESSLESS_EVERY = 50

_PLACES = (
    ("Harbour & Vale Outfitters", "America/New_York"),
    ("Müller & Söhne Gartenbau", "Europe/Berlin"),
    ("東京マーケット", "Asia/Tokyo"),
    ("Casa Açaí", "America/Sao_Paulo"),
    ("Bengaluru Books", "Asia/Kolkata"),
    ("Wattle Insurance", "Australia/Sydney"),
    ("Pacific Loop Cycles", "America/Los_Angeles"),
    ("L'Épicerie du Quai", "Europe/Paris"),
)

_WEB_DAY = (
    *(0.25, 0.15, 0.1, 0.08, 0.1, 0.2, 0.45, 0.8, 1.2, 1.5, 1.6, 1.55),
    *(1.4, 1.5, 1.55, 1.5, 1.4, 1.3, 1.25, 1.35, 1.5, 1.3, 0.9, 0.5),
)
_DRIP_DAY = (0,) * 8 + (1, 1.5, 2, 1.5, 1, 1.5, 1.5, 1, 1, 0.7, 0.4, 0.2) + (0,) * 4
_BLAST_DAY = (0,) * 9 + (0.6, 1, 0.5, 0.2) + (0,) * 11
_WEEK = (1.0, 1.1, 1.05, 1.05, 0.9, 0.55, 0.5)
_NEWSLETTER_WEEK = (0, 1, 0, 1, 0, 0, 0)


class Template(NamedTuple):
    """A campaign that every organization has; times and audience as shares of the whole."""

    key: str
    name: str
    status: str
    begin: float | None
    end: float | None
    pattern: Pattern
    weight: float
    audience_begin: float
    audience_share: float


_TEMPLATES = (
    Template("newsletter", "Newsletter", "active", 0.0, None, "newsletter", 5, 0, 1),
    Template("welcome", "Welcome series", "active", 0.0, None, "drip", 2, 0.6, 0.4),
    Template("spring", "Spring offers", "completed", 0.05, 0.4, "promotion", 3, 0, 0.6),
    Template("loyalty", "Été – loyalty club", "completed", 0.3, 0.75, "promotion", 3, 0.3, 0.7),
    Template("webinar", "Webinar invitation", "active", 0.55, None, "drip", 2, 0.2, 0.5),
    Template("recall", "Price list (withdrawn)", "cancelled", 0.25, 0.45, "drip", 1, 0.5, 0.4),
    Template("autumn", "Autumn preview", "draft", None, None, "promotion", 0, 0, 0),
    Template("partners", "Partner programme", "active", 0.5, None, "drip", 0, 0, 0.2),
)


@dataclass(frozen=True)
class Organization:
    """A tenant; `weight` is its share of all activity."""

    external_id: str
    name: str
    timezone: str
    weight: float


@dataclass(frozen=True)
class Campaign:
    """A campaign with its life in microseconds and its audience as a run of contact numbers."""

    organization: int
    external_id: str
    name: str
    status: str
    started: int | None
    ended: int | None
    first_contact: int
    audience: int
    pattern: Pattern
    weight: float

    def sending(self, edges: Ints) -> tuple[int, int]:
        """Range of hours in which it sends: enrolment before it, its last steps after it."""
        if self.started is None or not self.weight:
            return 0, 0
        last = int(edges[-1]) if self.ended is None else self.ended - self._finishing
        first_hour = np.searchsorted(edges[:-1], self.started + HOUR)
        return int(first_hour), int(np.searchsorted(edges[1:], last, side="right"))

    def finishes(self, place: Ints) -> Ints:
        """Returns the instants at which the audience's members finish; `NEVER` while it runs. They
        are given by their place in the audience."""
        if self.ended is None:
            return np.full(len(place), NEVER)
        begin = self.ended - self._finishing
        return begin + (place + 1) * self._finishing // max(self.audience, 1)

    @property
    def _finishing(self) -> int:
        """The duration of its end: a seventh of its life, nothing if it was cut short."""
        if self.started is None or self.ended is None or self.status == "cancelled":
            return 0
        return (self.ended - self.started) // 7


@dataclass(frozen=True)
class World:
    """Organizations, campaigns and contacts. `first_contact` has one number per organization and
    the total at its end."""

    period: DemoPeriod
    organizations: list[Organization]
    campaigns: list[Campaign]
    first_contact: Ints

    @cached_property
    def local_hours(self) -> dict[str, tuple[Ints, Ints]]:
        """Hour of the day and weekday of each hour of the period, by time zone."""
        zones = {organization.timezone for organization in self.organizations}
        return {zone: self.period.local_hours(zone) for zone in zones}

    def addressless(self, contacts: Ints) -> npt.NDArray[np.bool_]:
        """Returns a mask of the contacts without an e-mail address, which are sent nothing."""
        return np.equal(contacts % _ADDRESSLESS_EVERY, _ADDRESSLESS_EVERY - 1)

    def mail(self) -> Rhythm:
        """The hours at which each campaign sends."""
        columns = []
        for campaign in self.campaigns:
            zone = self.organizations[campaign.organization].timezone
            hours, weekdays = self.local_hours[zone]
            columns.append(_campaign_weights(campaign, self.period.edges, hours, weekdays))
        return Rhythm(self.period, np.stack(columns, axis=1))

    def web(self) -> Rhythm:
        """The hours at which each organization's site is visited."""
        columns = []
        for organization in self.organizations:
            hours, weekdays = self.local_hours[organization.timezone]
            weights = np.array(_WEB_DAY)[hours] * np.array(_WEEK)[weekdays]
            columns.append(weights * organization.weight / weights.sum())
        return Rhythm(self.period, np.stack(columns, axis=1))


def build_world(period: DemoPeriod, events: int, organizations: int) -> World:
    """The organizations, contacts and campaigns that suit a number of events."""
    raw = [1 / (rank * math.sqrt(rank)) for rank in range(1, organizations + 1)]
    total = math.fsum(raw)
    members = [_organization(rank, weight / total) for rank, weight in enumerate(raw)]
    contacts = min(events // _EVENTS_PER_CONTACT, _MAX_CONTACTS)
    sizes = [max(_MIN_CONTACTS, int(contacts * member.weight)) for member in members]
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    campaigns = [
        _campaign(number, members[number], template, period, int(first[number]), sizes[number])
        for number in range(organizations)
        for template in _TEMPLATES
    ]
    return World(period, members, campaigns, first)


def _organization(rank: int, weight: float) -> Organization:
    name, timezone = _PLACES[rank % len(_PLACES)]
    repeated = f" {rank // len(_PLACES) + 1}" if rank >= len(_PLACES) else ""
    return Organization(f"o{rank + 1}", name + repeated, timezone, weight)


def _campaign(
    number: int,
    owner: Organization,
    template: Template,
    period: DemoPeriod,
    first_contact: int,
    contacts: int,
) -> Campaign:
    length = (period.end - period.begin) // HOUR
    started, ended = (
        None if share is None else period.begin + int(length * share) * HOUR
        for share in (template.begin, template.end)
    )
    return Campaign(
        organization=number,
        external_id=f"{owner.external_id}-{template.key}",
        name=template.name,
        status=template.status,
        started=started,
        ended=ended,
        first_contact=first_contact + int(contacts * template.audience_begin),
        audience=int(contacts * template.audience_share),
        pattern=template.pattern,
        weight=template.weight * owner.weight,
    )


def _campaign_weights(campaign: Campaign, edges: Ints, hours: Ints, weekdays: Ints) -> Floats:
    """Weight of each hour of the period; their sum is the campaign's share of all mail."""
    first, last = campaign.sending(edges)
    sending = np.zeros(len(edges) - 1)
    sending[first:last] = 1.0
    if campaign.pattern == "newsletter":
        shaped = sending * np.array(_BLAST_DAY)[hours] * np.array(_NEWSLETTER_WEEK)[weekdays]
    elif campaign.pattern == "promotion":
        age = (edges[:-1] - edges[min(first, len(edges) - 1)]) // DAY
        shaped = sending * np.array(_BLAST_DAY)[hours] / (1 + np.maximum(age, 0))
    else:
        shaped = sending * np.array(_DRIP_DAY)[hours] * np.array(_WEEK)[weekdays]
    chosen = shaped if shaped.any() else sending
    return chosen * (campaign.weight / chosen.sum()) if chosen.any() else chosen
