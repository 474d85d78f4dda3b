"""Every error this project raises on purpose; the class says whether trying again can help.

An error's text is one sentence that names what to change: the setting, the file, the row.
"""


class MarketingPipelinesError(Exception):
    """Anything raised on purpose; its text can be shown to a user as it is."""


class PermanentError(MarketingPipelinesError):
    """Trying again gives the same result: bad configuration, bad input, an unknown name."""


class RetryableError(MarketingPipelinesError):
    """Trying again later can succeed: a store that does not answer, work that is not ready."""


class ConfigurationError(PermanentError):
    """A setting is missing, malformed or contradicts the stored data."""


class BadInputError(PermanentError):
    """A file, a partition key or another argument cannot be used."""


class WrongUsageError(BadInputError):
    """A command was called with arguments that do not go together."""


class StoreUnavailableError(RetryableError):
    """PostgreSQL, the lake or another store refuses the connection or the write."""


class UpstreamNotReadyError(RetryableError):
    """Partitions that this work reads are not written yet; marks ask for it again."""


class OutOfMemoryError(PermanentError):
    """The work needed more memory than its job allows and was stopped."""


class TimedOutError(RetryableError):
    """The work took longer than its job allows and was stopped."""


class ContractViolationError(PermanentError):
    """Numbers that would have been published contradict each other; nothing was published."""


class SkippedOverlapError(MarketingPipelinesError):
    """Another run holds the lock of this job or partition; it does the work."""

    def __init__(self, message: str, holder_run_id: str | None) -> None:
        super().__init__(message)
        self.holder_run_id = holder_run_id
