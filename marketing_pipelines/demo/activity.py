"""All events of the generated world as columns of numbers, in order of arrival; no text, no file.

Mail with its consequences is most of it; visits without a campaign fill the rest of the
wanted number. The work is cut into batches, each with the events that begin in one stretch of
time. Later events wait in a pool for their turn, so memory does not grow with the number.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from marketing_pipelines.demo.funnel import Happenings, SimulatedMail
from marketing_pipelines.demo.rhythm import DAY, HOUR, SECOND, Ints, Numbers, Quantiles, delays
from marketing_pipelines.demo.vocabulary import MOMENT, MOMENTS
from marketing_pipelines.demo.world import World

BATCH_EVENTS = 200_000
POOL_EVENTS = 2_000_000
MAIL_SHARE = 0.82
NO_SOURCE = -1
UNKNOWN_SOURCE = -2

_LATE_SHARE = 0.005
_ROWS_PER_DUPLICATE = 500
# The visits that are odd; the first of each kind comes early, so that small files have it too.
_SKEWED_ROWS = slice(0, None, 401)
_UNKNOWN_TYPE_ROWS = slice(1, None, 801)
_UNKNOWN_SOURCE_ROWS = slice(2, None, 601)
_ON_AN_EDGE_ROWS = slice(3, None, 5)

_LATENCY: Quantiles = ((0, 0.05), (0.8, 1.5), (0.98, 20), (1, 300))
_LATE: Quantiles = (
    *((0, HOUR // SECOND), (0.4, 6 * 3_600), (0.7, 36 * 3_600)),
    *((0.9, 8 * 86_400), (1, 35 * 86_400)),
)
_RETRY: Quantiles = ((0, 5), (0.6, 300), (0.9, 6 * 3_600), (1, 2 * 86_400))
_SKEW: Quantiles = ((0, 1), (0.8, 90), (1, 7_200))

_VISITS = {
    "page_view": 0.86,
    "form_submission": 0.93,
    "purchase": 0.97,
    "demo_request": 0.985,
    "converted": 1.0,
}
_UNKNOWN_TYPES = ("video_watched", "size_chosen")

_FIRST_TEXT = np.array([moment.first for moment in MOMENTS])
_TEXTS = np.array([moment.texts for moment in MOMENTS])


class Events(NamedTuple):
    """Events as columns; instants in microseconds since 1970.

    `number` makes the event id; `contact`, `source` (campaign, or a negative constant of this
    module), `moment` and `text` are numbers in the world and the vocabulary; `arrival` orders.
    """

    arrival: Numbers
    occurred: Numbers
    received: Numbers
    number: Numbers
    contact: Numbers
    source: Numbers
    moment: Numbers
    text: Numbers

    def take(self, rows: Numbers) -> "Events":
        return Events(*(column[rows] for column in self))

    def then(self, other: "Events") -> "Events":
        return Events(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


class Activity:
    """Exactly `events` events of a world; the same seed gives the same ones."""

    def __init__(
        self, world: World, events: int, seed: int, *, pool_events: int = POOL_EVENTS
    ) -> None:
        self.mail = SimulatedMail(world)
        self._web = world.web()
        self._events, self._seed, self._pool_events = events, seed, pool_events
        self._first_contact = world.first_contact
        self._end = world.period.end
        self._batches = -(-events // BATCH_EVENTS)
        self._edges = self._batch_edges(world.period.edges)

    def in_order_of_arrival(self) -> Iterator[Events]:
        """All events, at most `BATCH_EVENTS` at a time, once.

        The order is by arrival as long as no more than `pool_events` wait for their turn; beyond
        that (some 500 million events in 30 days) the next ones go early.
        """
        pool: Events | None = None
        for number in range(self._batches):
            batch = self._batch(number)
            pool = batch if pool is None else pool.then(batch)
            order = np.argsort(pool.arrival, kind="stable")
            ripe = len(order)
            if number < self._batches - 1:
                ripe = int(np.searchsorted(pool.arrival[order], self._edges[number + 1]))
                ripe = max(ripe, len(order) - self._pool_events)
            if ripe:
                for rows in np.array_split(order[:ripe], -(-ripe // BATCH_EVENTS)):
                    yield pool.take(rows)
            pool = pool.take(order[ripe:])

    def _batch_edges(self, edges: Ints) -> list[int]:
        """Instants between which equally many events begin."""
        mail = [self.mail.rhythm.share_before(edge) for edge in edges]
        web = [self._web.share_before(edge) for edge in edges]
        begun = MAIL_SHARE * np.array(mail) + (1 - MAIL_SHARE) * np.array(web)
        inner = np.interp(np.arange(1, self._batches) / max(self._batches, 1), begun, edges)
        return [int(edges[0]), *(int(instant) for instant in inner), int(edges[-1])]

    def _batch(self, number: int) -> Events:
        """Generates the events that begin in one stretch of time. Their consequences and duplicates
        are included."""
        rng = np.random.default_rng([self._seed, number])
        begin, end = self._edges[number], self._edges[number + 1]
        first = number * BATCH_EVENTS
        rows = min(BATCH_EVENTS, self._events - first)
        duplicates = rows // _ROWS_PER_DUPLICATE
        originals = rows - duplicates
        mail = self.mail.between(rng, int(originals * self._mail_share(begin, end)), begin, end)
        visits = self._visits(rng, originals - len(mail.at), begin, end)
        events = self._received(rng, mail.then(visits), len(mail.at), first)
        return events.then(self._duplicates(rng, events, duplicates))

    def _mail_share(self, begin: int, end: int) -> float:
        mail, web = (
            share * (rhythm.share_before(end) - rhythm.share_before(begin))
            for share, rhythm in ((MAIL_SHARE, self.mail.rhythm), (1 - MAIL_SHARE, self._web))
        )
        return mail / (mail + web)

    def _visits(self, rng: np.random.Generator, count: int, begin: int, end: int) -> Happenings:
        """`count` visits without a campaign, few contacts making most; the odd ones among them."""
        at, organization = self._web.draw(rng, count, begin, end)
        size = np.diff(self._first_contact)[organization]
        place = rng.random(count)
        contact = self._first_contact[organization] + (place * place * size).astype(np.int64)
        kinds = np.array([MOMENT[key] for key in _VISITS], dtype=np.int8)
        moment = kinds[np.searchsorted(list(_VISITS.values()), rng.random(count), side="right")]
        unknown = np.array([MOMENT[key] for key in _UNKNOWN_TYPES], dtype=np.int8)
        moment[_UNKNOWN_TYPE_ROWS] = np.resize(unknown, len(moment[_UNKNOWN_TYPE_ROWS]))
        source = np.full(count, NO_SOURCE, dtype=np.int32)
        source[_UNKNOWN_SOURCE_ROWS] = UNKNOWN_SOURCE
        edges = _instants_at_edges(begin, end)[: len(at[_ON_AN_EDGE_ROWS])]
        at[_ON_AN_EDGE_ROWS][: len(edges)] = edges
        return Happenings(at, contact.astype(np.int32), source, moment)

    def _received(
        self, rng: np.random.Generator, happened: Happenings, mail: int, first: int
    ) -> Events:
        """Adds receipt, properties and ids from `first` on; the first `mail` rows are mail."""
        at, contact, source, moment = happened
        received = np.minimum(at + self._on_the_way(rng, at), self._end)
        skewed = np.arange(mail, len(at))[_SKEWED_ROWS]
        received[skewed] = at[skewed] - delays(rng, len(skewed), _SKEW)
        text = _FIRST_TEXT[moment] + (rng.random(len(at)) * _TEXTS[moment]).astype(np.int64)
        order = np.argsort(received, kind="stable")
        return Events(
            arrival=received[order],
            occurred=at[order],
            received=received[order],
            number=np.arange(first, first + len(at)),
            contact=contact[order],
            source=source[order],
            moment=moment[order],
            text=text[order].astype(np.int16),
        )

    def _on_the_way(self, rng: np.random.Generator, at: Numbers) -> Ints:
        """Delay of each event's receipt: seconds, for the late ones hours to 35 days."""
        delay = delays(rng, len(at), _LATENCY)
        late = np.flatnonzero(rng.random(len(at), dtype=np.float32) < _LATE_SHARE)
        lateness = delays(rng, len(late), _LATE)
        left = self._end - at[late]
        delay[late] = np.where(
            lateness < left, lateness, (rng.random(len(late)) * left).astype(np.int64)
        )
        return delay

    def _duplicates(self, rng: np.random.Generator, events: Events, count: int) -> Events:
        """Later copies: half received like the original, a third later, the rest earlier."""
        copies = events.take(rng.integers(0, len(events.number), count))
        arrival = np.minimum(copies.arrival + delays(rng, count, _RETRY), self._end)
        earlier = (copies.received - copies.occurred) // 2
        fate = rng.random(count)
        received = np.where(fate < 0.5, copies.received, arrival)
        received = np.where(fate < 0.85, received, copies.received - np.maximum(earlier, 0))
        return copies._replace(arrival=arrival, received=received)


def _instants_at_edges(begin: int, end: int) -> Ints:
    """First and last instants of the UTC hours in `[begin, end)`, hours at edges of days first."""
    hours = np.arange(-(-begin // HOUR) * HOUR, end + 1, HOUR)
    hours = hours[np.argsort(hours % DAY != 0, kind="stable")]
    both = np.stack([hours - 1, hours], axis=1).ravel()
    return both[(both >= begin) & (both < end)]
