"""Server options of the API and the Dagster UI: time limits, and trusted proxies."""

import asyncio
import contextlib

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from marketing_pipelines.settings import Settings

SECONDS_TO_FINISH = 3
SECONDS_FOR_HEADERS = 10.0


class TimedProtocol(H11Protocol):
    """HTTP/1.1 of a connection that is closed where a request's headers take too long.

    uvicorn bounds their size and the time between requests, and not the time until a request's
    headers are whole.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins the time for the first request's headers."""
        super().connection_made(transport)
        self._time_headers()

    def data_received(self, data: bytes) -> None:
        """Ends the time where the headers are whole."""
        super().data_received(data)
        self._time_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the time with the connection."""
        self._stop_timing()
        super().connection_lost(exc)

    def _time_headers(self) -> None:
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._stop_timing()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(SECONDS_FOR_HEADERS, self._give_up)

    def _stop_timing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


def serve(app: ASGIApp, settings: Settings, *, host: str, port: int) -> None:
    """Serves an application until SIGINT or SIGTERM."""
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config(app, settings, host=host, port=port)).run()


def config(app: ASGIApp, settings: Settings, *, host: str, port: int) -> uvicorn.Config:
    """The configuration of a server."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=TimedProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
        proxy_headers=bool(settings.proxy_networks),
        forwarded_allow_ips=settings.proxy_networks,
    )
