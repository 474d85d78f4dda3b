"""Transports of messages: for now, files in the outbox."""

import json
import uuid
from pathlib import Path
from typing import Protocol

from marketing_pipelines.domains.delivery import mail
from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered


class Transport(Protocol):
    """Takes the messages of a channel.

    Attributes:
        repeatable: Whether taking a message a second time changes nothing. Where it is not, a
            message whose worker died while it was sent ends as `unknown`.
    """

    @property
    def repeatable(self) -> bool: ...

    def send(self, message: Rendered) -> None:
        """Sends a message.

        Raises:
            MessageError: this message cannot be sent, now or later. Any other error is the
                transport's own.
        """


class Outbox:
    """A file for each message: `<channel>/<day>/<message>.eml`, `.txt` or `.json`.

    The day is the one on which the message was written, UTC, and the name is its number: sent
    again, it is the same file.
    """

    repeatable = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: Rendered) -> None:
        """Writes the file beside its place and moves it there in one step.

        Raises:
            MessageError: the message cannot be written as its channel asks.
        """
        try:
            suffix, data = _written(message)
        except MessageError:
            raise
        # What cannot be written is the message's own fault; what goes wrong below is not.
        except Exception as error:
            raise MessageError(
                f"It cannot be written ({type(error).__name__}: {error})."
            ) from error
        day = self._folder / message.channel / f"{message.queued_at:%Y-%m-%d}"
        # A worker killed here leaves it; no other gets in its way.
        beside = self._folder / ".writing" / uuid.uuid4().hex
        day.mkdir(parents=True, exist_ok=True)
        beside.parent.mkdir(exist_ok=True)
        beside.write_bytes(data)
        beside.replace(day / f"{message.id}.{suffix}")


def _written(message: Rendered) -> tuple[str, bytes]:
    content = message.content
    if message.channel == "email":
        return "eml", mail.write(message)
    if message.channel == "webhook":
        request = {"id": message.id, **content}
        return "json", json.dumps(request, ensure_ascii=False, indent=2).encode()
    lines = [mail.one_line(message.recipient)]
    if "title" in content:
        lines.append(mail.one_line(content["title"]))
    return "txt", "\n".join([*lines, content["text"], ""]).encode()
