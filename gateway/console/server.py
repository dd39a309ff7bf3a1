"""The box's own page, served by the daemon in one thread: an event loop of its own, on loopback, for reading only."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Generator
from contextlib import closing

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.server import Server

from gateway.console.api import Api
from gateway.console.asking import Asking
from gateway.console.assets import Asset, assets, language
from gateway.console.feed import Feed
from gateway.console.guard import LONGEST_HEAD, LOOPBACK, Guard, host_name, refusal
from gateway.console.patience import MOST_CONNECTIONS, Patience
from gateway.console.port import listen as listen_at
from gateway.console.stream import Stream
from gateway.port_owner import port_owner
from gateway.view import View

log = logging.getLogger(__name__)

END_S = 0.6
"""How long open answers may take to end after the stop."""


class ConsoleServer:
    """Serves the page, its API and its stream until stopped; may be run again after it ended."""

    def __init__(self, view: View, listen: str, version: str) -> None:
        """`listen` is HOST:PORT; port 0 lets the system choose one."""
        self._view = view
        self._host = host_name(listen)
        self._port = int(listen.rpartition(":")[2])
        self._version = version
        self.bound = threading.Event()
        """Set while the port is open and `address` is true."""

    @property
    def address(self) -> str:
        """The address for a browser on this box; the real one once `bound` is set."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104  (a name for it, not bound)
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set, then end within a second. Raises OSError if no port is free, and what the view raises."""
        with closing(self._bind()) as listener:
            self.bound.set()
            try:
                asyncio.run(self._serve(listener, stop))
            finally:
                self.bound.clear()

    def _bind(self) -> socket.socket:
        wanted = self._port
        listener, further = listen_at(self._host, wanted)
        self._port = int(listener.getsockname()[1])
        if further:
            log.warning("%d is in use by %s; console at %s instead", wanted, port_owner(wanted), self.address)
        if self._host not in LOOPBACK:
            log.warning("the console listens on %s: whoever reaches that address can read it (it has no accounts yet)", self._host)
        return listener

    async def _serve(self, listener: socket.socket, stop: threading.Event) -> None:
        asking = Asking(self._view)
        feed = Feed(asking, self._version)
        pages = Guard(application(asking, feed), self._host)
        config = uvicorn.Config(
            pages, http=Patience, loop="asyncio", ws="none", lifespan="off", interface="asgi3", log_config=None, log_level="warning",
            access_log=False, proxy_headers=False, server_header=False, limit_concurrency=MOST_CONNECTIONS, timeout_keep_alive=30,
            h11_max_incomplete_event_size=LONGEST_HEAD,
        )
        telling = asyncio.create_task(feed.run())
        try:
            await _Server(config, feed, telling, stop).serve([listener])
        finally:
            asking.close()
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling


class _Server(Server):
    """uvicorn without its signals, stopped by an event, and quick about it."""

    def __init__(self, config: uvicorn.Config, feed: Feed, telling: asyncio.Task[None], stop: threading.Event) -> None:
        super().__init__(config)
        self._feed = feed
        self._telling = telling
        self._stop = stop

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        await super().on_tick(counter)
        return self._stop.is_set() or self._telling.done()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._feed.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def application(asking: Asking, feed: Feed) -> Starlette:
    """All pages. Made anew for each run, because its parts belong to that run's event loop."""
    kept = assets()

    async def page(request: Request) -> Response:
        spoken = language(request.query_params.get("lang", ""), request.headers.get("accept-language", ""))
        return kept[f"/{spoken}"].answer(request, spoken)

    async def health(_: Request) -> Response:
        unwell = await asking.ask(lambda view: view.health())
        return Response(f"{unwell or 'ok'}\n", 503 if unwell else 200, {"cache-control": "no-store"}, "text/plain")

    return Starlette(
        routes=[
            Route("/", page),
            Route("/healthz", health),
            Route("/api/v0/stream", Stream(feed), methods=["GET"]),
            *Api(asking).routes(),
            *(_file(path, asset) for path, asset in kept.items() if path.count("/") > 1),
        ],
        exception_handlers={HTTPException: _wrong, TimeoutError: _slow},
    )


def _file(path: str, asset: Asset) -> Route:
    async def give(request: Request) -> Response:
        return asset.answer(request)

    return Route(path, give)


def _wrong(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, error.detail)


def _slow(_: Request, __: Exception) -> Response:
    return refusal(503, "The journal did not answer in time.", {"retry-after": "5"})
