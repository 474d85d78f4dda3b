"""The outbox: messages as files, where nothing may leave the machine."""

import uuid
from pathlib import Path

from marketing_pipelines.domains.delivery import mail
from marketing_pipelines.domains.delivery.rendering import Rendered, writing


class Outbox:
    """A file for each message: `<channel>/<day>/<message>.eml` or `.txt`.

    The day is the one on which the message was written, UTC, and the name is its number: sent
    again, it is the same file.
    """

    repeatable = True
    line = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: Rendered) -> None:
        """Writes the file next to its place and moves it there in one step.

        Raises:
            MessageError: the message cannot be written as its channel asks.
        """
        # An error here is the message's own fault; an error below is not.
        with writing():
            suffix, data = _written(message)
        day = self._folder / message.channel / f"{message.queued_at:%Y-%m-%d}"
        # A worker killed here leaves it; no other gets in its way.
        new = self._folder / ".writing" / uuid.uuid4().hex
        day.mkdir(parents=True, exist_ok=True)
        new.parent.mkdir(exist_ok=True)
        new.write_bytes(data)
        new.replace(day / f"{message.id}.{suffix}")


def _written(message: Rendered) -> tuple[str, bytes]:
    content = message.content
    if message.channel == "email":
        return "eml", mail.write(message).data
    lines = [mail.one_line(message.recipient)]
    if "title" in content:
        lines.append(mail.one_line(content["title"]))
    return "txt", "\n".join([*lines, content["text"], ""]).encode()
