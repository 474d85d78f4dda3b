"""The steps of the funnel that follow from a message, each later than the one it needs."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marketing_pipelines.demo.rhythm import NEVER, Ints, Numbers, Quantiles, delays
from marketing_pipelines.demo.vocabulary import MOMENT
from marketing_pipelines.demo.world import World

_DELIVERED, _BOUNCED_OF_REST, _HARD_OF_BOUNCED = 0.971, 0.75, 0.4
_STOPS = ("hard_bounced", "unsubscribed", "complained")

_TRANSFER: Quantiles = ((0, 1), (0.6, 4), (0.95, 40), (0.99, 900), (1, 14_400))
_MACHINE: Quantiles = ((0, 1), (0.7, 8), (1, 60))
_OPEN: Quantiles = (
    *((0, 20), (0.1, 240), (0.3, 1_800), (0.5, 5_400), (0.75, 25_000)),
    *((0.9, 90_000), (0.98, 350_000), (1, 1_200_000)),
)
_CLICK: Quantiles = ((0, 2), (0.6, 25), (0.9, 240), (0.99, 7_200), (1, 260_000))
_VISIT: Quantiles = ((0, 1), (0.9, 5), (1, 60))
_DECISION: Quantiles = ((0, 30), (0.5, 600), (0.9, 7_200), (1, 400_000))


class Happenings(NamedTuple):
    """Events without an id or a receipt: instant, contact, campaign (or a negative), moment."""

    at: Numbers
    contact: Numbers
    source: Numbers
    moment: Numbers

    def then(self, other: "Happenings") -> "Happenings":
        return Happenings(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


class _Step(NamedTuple):
    """Events of one moment; `message` is the number of the message that they belong to."""

    moment: str
    message: Ints
    at: Ints


class SimulatedMail:
    """The messages of a world and their events.

    `stopped_at` holds, per contact, the instant from which nothing more is sent (`NEVER` where
    it may go on; the period's begin where there is no address). Stretches of time must be asked
    for in order.
    """

    def __init__(self, world: World) -> None:
        self.rhythm = world.mail()
        contacts = np.arange(int(world.first_contact[-1]))
        self.stopped_at = np.where(world.addressless(contacts), world.period.begin, NEVER)
        self._end = world.period.end
        self._first = np.array([campaign.first_contact for campaign in world.campaigns])
        self._audience = np.array([campaign.audience for campaign in world.campaigns])
        self._events_per_message = 2.6

    def between(self, rng: np.random.Generator, most: int, begin: int, end: int) -> Happenings:
        """Messages sent in `[begin, end)` with all that follows; close to `most` events, not more.

        Events after the period have not happened yet and are left out.
        """
        messages = int(most / self._events_per_message * 1.02) + 8
        sent_at, source = self.rhythm.draw(rng, messages, begin, end)
        place = (rng.random(messages) * self._audience[source]).astype(np.int64)
        contact = self._first[source] + place
        steps = _funnel(rng, sent_at)
        message = np.concatenate([step.message for step in steps])
        at = np.concatenate([step.at for step in steps])
        moment = np.repeat(
            np.array([MOMENT[step.moment] for step in steps], dtype=np.int8),
            [len(step.at) for step in steps],
        )
        happened = at < self._end
        kept = np.cumsum(np.bincount(message[happened], minlength=messages))
        self._events_per_message = float(kept[-1]) / messages
        allowed = np.arange(messages) < np.searchsorted(kept, most, side="right")
        self._note_stops(steps, allowed, contact)
        allowed &= sent_at <= self.stopped_at[contact]
        chosen = np.flatnonzero(happened & allowed[message])
        message = message[chosen]
        return Happenings(
            at[chosen],
            contact[message].astype(np.int32),
            source[message].astype(np.int32),
            moment[chosen],
        )

    def _note_stops(
        self, steps: list[_Step], allowed: npt.NDArray[np.bool_], contact: Ints
    ) -> None:
        for step in steps:
            if step.moment in _STOPS:
                real = allowed[step.message] & (step.at < self._end)
                np.minimum.at(self.stopped_at, contact[step.message[real]], step.at[real])


def _funnel(rng: np.random.Generator, sent_at: Ints) -> list[_Step]:
    """All steps of messages sent at these instants; steps of one message share its number."""
    numbers = np.arange(len(sent_at))
    sent = _Step("sent", numbers, sent_at)
    arrives = rng.random(len(sent_at), dtype=np.float32) < _DELIVERED
    through = _Step("sent", numbers[arrives], sent_at[arrives])
    stuck = _Step("sent", numbers[~arrives], sent_at[~arrives])
    hard = rng.random(len(stuck.at)) < _HARD_OF_BOUNCED
    delivered = _after(rng, through, "delivered", 1, _TRANSFER)
    opened = _after(rng, delivered, "opened", 0.28, _OPEN)
    clicked = _after(rng, opened, "clicked", 0.17, _CLICK)
    visited = _after(rng, clicked, "page_view", 0.8, _VISIT)
    form = _after(rng, visited, "form_submission", 0.08, _DECISION)
    return [
        sent,
        delivered,
        opened,
        clicked,
        visited,
        form,
        _after(rng, _where(stuck, hard), "hard_bounced", _BOUNCED_OF_REST, _TRANSFER),
        _after(rng, _where(stuck, ~hard), "soft_bounced", _BOUNCED_OF_REST, _TRANSFER),
        _after(rng, delivered, "machine_opened", 0.18, _MACHINE),
        _after(rng, opened, "opened", 0.3, _OPEN),
        _after(rng, clicked, "clicked", 0.2, _CLICK),
        _after(rng, visited, "page_view", 0.6, _DECISION),
        _after(rng, form, "demo_request", 0.2, _DECISION),
        _after(rng, visited, "purchase", 0.06, _DECISION),
        _after(rng, visited, "converted", 0.03, _DECISION),
        _after(rng, opened, "replied", 0.006, _OPEN),
        _after(rng, opened, "unsubscribed", 0.006, _DECISION),
        _after(rng, delivered, "complained", 0.0005, _OPEN),
    ]


def _where(step: _Step, chosen: npt.NDArray[np.bool_]) -> _Step:
    return _Step(step.moment, step.message[chosen], step.at[chosen])


def _after(
    rng: np.random.Generator, cause: _Step, moment: str, share: float, waiting: Quantiles
) -> _Step:
    """For a share of the causes one event of `moment`, after a waiting time."""
    if share == 1:
        return _Step(moment, cause.message, cause.at + delays(rng, len(cause.at), waiting))
    chosen = np.flatnonzero(rng.random(len(cause.at), dtype=np.float32) < share)
    at = cause.at[chosen] + delays(rng, len(chosen), waiting)
    return _Step(moment, cause.message[chosen], at)
