"""Bodies of requests: checked as a whole, and compared by a digest."""

import hashlib
import json
import re
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, model_validator

MAX_DEPTH = 100
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class Body(BaseModel):
    """The object that a call sends; an unknown field is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StorableBody(Body):
    """A body whose every value PostgreSQL can store."""

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, body: Any) -> Any:
        if _is_deeper(body, MAX_DEPTH):
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
        try:
            text = json.dumps(body, ensure_ascii=False, allow_nan=False)
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("a text in it contains half a character (a lone surrogate)") from None
        except ValueError:
            raise ValueError("it contains NaN, Infinity or a number out of range") from None
        if _NUL.search(text):
            raise ValueError("a text in it contains the character NUL") from None
        return body


def _is_deeper(value: Any, depth: int) -> bool:
    """Returns true if lists and objects stand in each other beyond a depth."""
    level = [value]
    for _ in range(depth + 1):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
        level = below
    return bool(level)


async def _raw(request: Request) -> bytes:
    return await request.body()


RawBody = Annotated[bytes, Depends(_raw)]


def digest(raw: bytes) -> str:
    """A hash of a JSON body: the same however its keys are ordered."""
    text = json.dumps(json.loads(raw), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
