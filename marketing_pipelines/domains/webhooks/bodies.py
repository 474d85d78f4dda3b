"""The bodies of webhooks: the type of an event, when it was published, and its data.

The view `webhooks.event_data` makes the data of events of the bus, with external ids in place of
numbers; `webhooks.cut_data` cuts too much of it to its ids.
"""

import datetime as dt
import json
from typing import Any

MAX_BODY = 256 << 10


def body_text(type_: str, published_at: dt.datetime, data: Any) -> str:
    """The text that is signed and sent."""
    body = {
        "type": type_,
        "timestamp": published_at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"),
        "data": data,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
