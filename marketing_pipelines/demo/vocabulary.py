"""The types of generated events, and their properties.

An event is one of `MOMENTS`; its properties are one of `TEXTS` (number 0 = none).
"""

import json
from typing import NamedTuple

_PAGES = ("/", "/pricing", "/blog/7-ideas", "/offers", "/über-uns", "/商品/茶碗", "/contact")
_SUBJECTS = ("Your week in review", "−20 % bis Sonntag", "Nouveautés d’été", "新着のお知らせ 🎉")
_CLIENTS = ("Gmail", "Outlook", "Thunderbird", "Yahoo", "iPhone Mail")


class Moment(NamedTuple):
    """A kind of event; `first` and `texts` say where its properties stand in `TEXTS`."""

    event_type: str
    first: int
    texts: int


_PROPERTIES: dict[str, tuple[str, list[dict[str, object]]]] = {
    "sent": ("sent", [{"subject": subject} for subject in _SUBJECTS]),
    "delivered": ("delivered", []),
    "opened": ("opened", [{"client": client} for client in _CLIENTS]),
    "machine_opened": (
        "opened",
        [
            {"client": "Apple Mail Privacy Protection", "machine_open": True},
            {"client": "Gmail image proxy", "machine_open": True},
        ],
    ),
    "clicked": ("clicked", [{"url": f"https://shop.example{page}"} for page in _PAGES]),
    "hard_bounced": (
        "bounced",
        [
            {"bounce_type": "hard", "reason": "550 5.1.1 user unknown"},
            {"bounce_type": "hard", "reason": "550 5.1.2 host not found"},
        ],
    ),
    "soft_bounced": (
        "bounced",
        [
            {"bounce_type": "soft", "reason": "452 4.2.2 mailbox full"},
            {"bounce_type": "soft", "reason": "421 4.7.0 try again later"},
        ],
    ),
    "complained": ("complained", [{"feedback_type": "abuse"}]),
    "unsubscribed": ("unsubscribed", [{"method": "one-click"}, {"method": "link"}]),
    "replied": ("replied", [{"auto_reply": False}, {"auto_reply": True}]),
    "page_view": ("page_view", [{"path": page} for page in _PAGES]),
    "form_submission": ("form_submission", [{"form": "contact"}, {"form": "newsletter"}]),
    "demo_request": ("demo_request", [{"seats": seats} for seats in (1, 5, 25, 200)]),
    "converted": ("converted", [{"goal": "trial"}, {"goal": "upgrade"}]),
    "purchase": (
        "purchase",
        [
            {"order_value": round(4.9 + 7.35 * step, 2), "currency": "EUR", "items": 1 + step % 5}
            for step in range(60)
        ],
    ),
    "video_watched": ("video_watched", [{"seconds": seconds} for seconds in (3, 30, 300)]),
    "size_chosen": ("größe_gewählt", [{"größe": "42½", "farbe": "grün 💚"}]),
}


def _tables() -> tuple[dict[str, int], list[Moment], list[str | None]]:
    numbers: dict[str, int] = {}
    moments: list[Moment] = []
    texts: list[str | None] = [None]
    for key, (event_type, properties) in _PROPERTIES.items():
        numbers[key] = len(moments)
        first = len(texts) if properties else 0
        moments.append(Moment(event_type, first, max(1, len(properties))))
        texts += [json.dumps(value, ensure_ascii=False) for value in properties]
    return numbers, moments, texts


MOMENT, MOMENTS, TEXTS = _tables()
"""Number of each kind of event by its key; the kinds by number; all properties as JSON text."""
