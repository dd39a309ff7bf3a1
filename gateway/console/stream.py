"""One open stream on the wire: server-sent events until either side ends it."""

import asyncio

from starlette.types import Receive, Scope, Send

from gateway.console.feed import MOST_LISTENERS, Feed, Listener
from gateway.console.guard import refusal

STUCK_S = 10.0
"""How long a listener may take nothing at all before its stream is cut."""
_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]


class Stream:
    """The ASGI page of /api/v0/stream."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one listener."""
        if scope["query_string"]:
            await refusal(400, "The stream takes no parameters.")(scope, receive, send)
            return
        listener = self._feed.join()
        if listener is None:
            full = refusal(503, f"There are {MOST_LISTENERS} streams already. Close one, or read /api/v0/live.", {"retry-after": "10"})
            await full(scope, receive, send)
            return
        leaving = asyncio.create_task(_left(receive, listener))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await _speak(listener, send)
        except TimeoutError:
            pass  # it takes nothing: returning without an end makes the server close the connection
        finally:
            leaving.cancel()
            self._feed.leave(listener)


async def _speak(listener: Listener, send: Send) -> None:
    while (news := await listener.messages.get()) is not None:
        async with asyncio.timeout(STUCK_S):
            await send({"type": "http.response.body", "body": news, "more_body": True})
    async with asyncio.timeout(STUCK_S):
        await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive, listener: Listener) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    while not listener.messages.empty():
        listener.messages.get_nowait()
    listener.messages.put_nowait(None)
