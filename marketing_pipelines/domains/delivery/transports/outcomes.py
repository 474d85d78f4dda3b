"""The outcomes of handing over one message, and the protocol of transports."""

import datetime as dt
from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered
from marketing_pipelines.failures import RetryableError

Bounce = Literal["hard", "soft"]


class LineError(RetryableError):
    """The line does not work: no message of it can go now, and no attempt is used.

    Attributes:
        is_slow_down: True if the server asks for fewer messages.
        quiet_for: The time for which the server asks for none; None: it names none.
    """

    def __init__(
        self, text: str, *, is_slow_down: bool = False, quiet_for: dt.timedelta | None = None
    ) -> None:
        super().__init__(text)
        self.is_slow_down = is_slow_down or quiet_for is not None
        self.quiet_for = quiet_for


class UnknownOutcomeError(LineError):
    """The line broke after the message was sent: it is not known whether the server took it."""


class DeferredError(RetryableError):
    """The server refuses this recipient for now, as greylisting does."""


class BouncedError(RetryableError):
    """The server refuses this recipient for good, and the address is to blame."""

    def __init__(self, text: str, bounce: Bounce) -> None:
        super().__init__(text)
        self.bounce: Bounce = bounce


class ListedError(MessageError):
    """The service keeps a list of its own, and the recipient is on it.

    Attributes:
        suppression: The reason of the suppression that stands for the list here.
    """

    def __init__(self, text: str, suppression: str) -> None:
        super().__init__(text)
        self.suppression = suppression


class AttemptError(RetryableError):
    """This attempt failed without the message being taken; another may succeed."""


class NotReadyError(RetryableError):
    """The installation cannot write this message yet: it waits, and others can go."""


class Transport(Protocol):
    """Takes the messages of a channel.

    Attributes:
        repeatable: True if sending a message a second time changes nothing. Otherwise a message
            whose worker died while it was sent ends as `unknown`.
        line: The server behind it, by which faults are counted; None: there is none.
    """

    @property
    def repeatable(self) -> bool: ...

    @property
    def line(self) -> str | None: ...

    def send(self, message: Rendered) -> str | None:
        """Sends a message.

        Returns:
            The server's own id of the message; None: it tells none.

        Raises:
            MessageError: this message cannot be sent, now or later.
            DeferredError, BouncedError, AttemptError: see there; the other messages can go.
            LineError: no message can go now. Any other error is the transport's own.
        """


@runtime_checkable
class Preparing(Protocol):
    """A transport that does part of its work before the server is asked for anything.

    That part runs while the mark of the message is made.
    """

    def prepare(self, message: Rendered) -> Callable[[], str | None]:
        """Writes a message; the returned function sends it, as `send` does.

        Raises:
            MessageError: it cannot be written.
        """
