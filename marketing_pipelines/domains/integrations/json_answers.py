"""JSON of strangers, with texts that every store takes."""

import json
import re
from typing import Any

# An escape of a surrogate in JSON, or one as bytes: alone it is half a character.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")


def json_of(body: bytes) -> Any:
    """The value of a body; halves of characters in its texts are replaced.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deep.
    """
    found = json.loads(body)
    return _whole(found) if _HALF.search(body) else found


def _whole(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_whole(one) for one in value]
        case dict():
            return {_whole(name): _whole(one) for name, one in value.items()}
    return value
