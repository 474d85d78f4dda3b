"""The day's counts of domains under warm-up in Redis or Valkey, for other services to read.

Nothing here reads them. A server that is down costs a line of the log and of `doctor`.
"""

import logging
import time
from collections.abc import Iterable
from functools import cache

from marketing_pipelines.domains.delivery.warmup import Counter
from marketing_pipelines.redaction import redact

KEPT_SECONDS = 48 * 3600
TIMEOUT = 1.0
# A server that is down is asked no more often than this.
PAUSE = 60.0
_logger = logging.getLogger(__name__)


class Mirror:
    """Keys `warmup:daily:{organization}:{domain}` on one server."""

    def __init__(self, url: str) -> None:
        import redis

        self._client = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
        )
        self._silent_until = 0.0

    def write(self, counters: Iterable[Counter]) -> None:
        """Writes the counts; a server that is down is left alone for a minute."""
        if time.monotonic() < self._silent_until:
            return
        import redis

        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for counter in counters:
                    pipeline.set(_key(counter), counter.reserved, ex=KEPT_SECONDS)
                pipeline.execute()
        except redis.RedisError as error:
            self._silent_until = time.monotonic() + PAUSE
            _logger.warning("MARKETING_REDIS_URL: %s", redact(str(error)))

    def replace(self, counters: Iterable[Counter]) -> int | None:
        """Deletes every key, then writes the counts; returns the number of deleted keys.

        None: the server does not answer.
        """
        import redis

        try:
            keys = list(self._client.scan_iter(match="warmup:daily:*", count=1000))
            for start in range(0, len(keys), 1000):
                self._client.delete(*keys[start : start + 1000])
        except redis.RedisError as error:
            _logger.warning("MARKETING_REDIS_URL: %s", redact(str(error)))
            return None
        self.write(counters)
        return len(keys)

    def check(self) -> str:
        """Returns the server's version.

        Raises:
            redis.RedisError: it does not answer.
        """
        return str(self._client.info("server")["redis_version"])


def _key(counter: Counter) -> str:
    return f"warmup:daily:{counter.organization}:{counter.domain}"


@cache
def mirror_at(url: str) -> Mirror:
    """One mirror for all threads of the process."""
    return Mirror(url)
