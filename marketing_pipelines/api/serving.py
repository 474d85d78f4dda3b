"""Server options of the API and the Dagster UI: time limits, and trusted proxies."""

import asyncio
import contextlib
import signal
from types import FrameType

import h11
import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from marketing_pipelines.settings import Settings

SECONDS_TO_FINISH = 3
SECONDS_TO_LEAVE, SECONDS_TO_FINISH_LEAVING = 5.0, 10
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


def serve_behind_proxy(app: ASGIApp, settings: Settings, *, host: str, port: int) -> None:
    """Serves as `serve` does; at SIGTERM a proxy has time to send its requests elsewhere.

    `/health/ready` answers 503 for some seconds, in which requests are served as before, each on a
    connection that then closes. Then open requests are finished. A second signal ends that.
    """
    leaving = Leaving(app)
    options = config(leaving, settings, host=host, port=port, finish=SECONDS_TO_FINISH_LEAVING)
    with contextlib.suppress(KeyboardInterrupt):
        _LeavingServer(options, leaving).run()


class Leaving:
    """An application that tells a proxy when its process is about to end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.has_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if not self.has_begun or scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        if scope["path"] == "/health/ready":
            detail = {"detail": "This process is about to end: ask another one."}
            await JSONResponse(detail, 503)(scope, receive, send_last)
        else:
            await self.app(scope, receive, send_last)


class _LeavingServer(uvicorn.Server):
    """A server whose first SIGTERM begins the leaving."""

    def __init__(self, options: uvicorn.Config, leaving: Leaving) -> None:
        super().__init__(options)
        self._leaving = leaving

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Notes a signal, in the thread that runs the loop."""
        if sig != signal.SIGTERM or self._leaving.has_begun:
            super().handle_exit(sig, frame)
            return
        self._leaving.has_begun = True
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(
            loop.call_later, SECONDS_TO_LEAVE, super().handle_exit, sig, frame
        )


def config(
    app: ASGIApp,
    settings: Settings,
    *,
    host: str,
    port: int,
    finish: int = SECONDS_TO_FINISH,
) -> uvicorn.Config:
    """The configuration of a server.

    Args:
        finish: Seconds for open requests when it ends.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=TimedProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=finish,
        proxy_headers=bool(settings.proxy_networks),
        forwarded_allow_ips=settings.proxy_networks,
    )
