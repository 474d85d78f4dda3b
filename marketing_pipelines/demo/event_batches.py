"""Generated events as Arrow batches in the columns of the events file."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from marketing_pipelines.demo.activity import UNKNOWN_SOURCE, Activity, Events
from marketing_pipelines.demo.rhythm import Numbers
from marketing_pipelines.demo.vocabulary import MOMENTS, TEXTS
from marketing_pipelines.demo.world import World

UNKNOWN_CAMPAIGN = "archive-2019"

_COLUMNS: dict[str, pa.DataType] = {
    "event_id": pa.string(),
    "organization_id": pa.string(),
    "contact_id": pa.string(),
    "event_type": pa.string(),
    "event_source": pa.string(),
    "occurred_at": pa.timestamp("us", tz="UTC"),
    "received_at": pa.timestamp("us", tz="UTC"),
    "properties": pa.string(),
}
SCHEMA = pa.schema(_COLUMNS)

_THREE_DIGITS = np.array([list(f"{number:03d}".encode()) for number in range(1000)], dtype=np.uint8)


class EventTexts:
    """Turns columns of numbers into batches of the events file, by look-up."""

    def __init__(self, world: World, events: int, seed: int) -> None:
        self._id_prefix = f"g{seed}-"
        self._id_digits = max(9, len(str(events)))
        self._organizations = _texts([member.external_id for member in world.organizations])
        self._organization_of = np.repeat(
            np.arange(len(world.organizations), dtype=np.int16), np.diff(world.first_contact)
        )
        self._contacts = contact_ids(world)
        self._types = _texts([moment.event_type for moment in MOMENTS])
        sources = [UNKNOWN_CAMPAIGN, None, *(campaign.external_id for campaign in world.campaigns)]
        self._sources = _texts(sources)
        self._properties = _texts(TEXTS)

    def batches(self, activity: Activity) -> Iterator[pa.RecordBatch]:
        """Every event of an activity, once."""
        for events in activity.in_order_of_arrival():
            yield self._batch(events)

    def _batch(self, events: Events) -> pa.RecordBatch:
        columns = [
            numbered(self._id_prefix, events.number, self._id_digits),
            self._organizations.take(self._organization_of[events.contact]),
            self._contacts.take(events.contact),
            self._types.take(events.moment),
            self._sources.take(events.source - UNKNOWN_SOURCE),
            pa.array(events.occurred).cast(SCHEMA.field("occurred_at").type),
            pa.array(events.received).cast(SCHEMA.field("received_at").type),
            self._properties.take(events.text),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def contact_ids(world: World) -> pa.StringArray:
    """External id of every contact, such as `o3-c000123`."""
    sizes = np.diff(world.first_contact)
    digits = max(6, len(str(int(sizes.max()))))
    parts = [
        numbered(f"{member.external_id}-c", np.arange(size), digits)
        for member, size in zip(world.organizations, sizes, strict=True)
    ]
    return pa.concat_arrays(parts)


def numbered(prefix: str, numbers: Numbers, digits: int) -> pa.StringArray:
    """Texts of one length: a prefix (ASCII) and each number (0 or more) with leading zeros."""
    head = np.frombuffer(prefix.encode(), dtype=np.uint8)
    groups = -(-digits // 3)
    written = np.empty((len(numbers), groups * 3), dtype=np.uint8)
    rest = numbers
    for group in reversed(range(groups)):
        rest, low = np.divmod(rest, 1000)
        written[:, group * 3 : group * 3 + 3] = _THREE_DIGITS[low]
    width = len(head) + digits
    letters = np.empty((len(numbers), width), dtype=np.uint8)
    letters[:, : len(head)] = head
    letters[:, len(head) :] = written[:, groups * 3 - digits :]
    return _fixed_width(letters, width)


def _fixed_width(letters: npt.NDArray[np.uint8], width: int) -> pa.StringArray:
    offsets = np.arange(0, (len(letters) + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(letters), pa.py_buffer(offsets.data), pa.py_buffer(letters.data)
    )


def _texts(values: Sequence[str | None]) -> pa.StringArray:
    return pa.array(values, type=pa.string())
