"""The stream: what changed since a second ago, read once from the view and told to everyone who looks.

A listener first gets everything (`all`), then only changes (`change`), and a sign of life (`beat`) when there are none.
Nothing is remembered for a listener that went away: it comes back and gets everything again. While nobody listens,
nothing is read.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.console import plain
from gateway.console.asking import Asking
from gateway.strict_json import encode
from gateway.view import AlertView, Live, View

log = logging.getLogger(__name__)

EVERY_S = 1.0
BEAT_S = 5.0
STATUS_TURNS = 3
"""The state of lines, devices and sinks is read every so many turns."""
MOST_LISTENERS = 16
MOST_WAITING = 16
"""Messages that may wait for a slow listener before it is let go."""
MOST_ALERTS = 50
_MOVING = ("at", "value", "flag", "reason", "share")


@dataclass(slots=True, eq=False)
class Listener:
    """One open stream."""

    messages: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING + 1))
    """What it is to be sent; None = the end."""
    knows: bool = False
    """Has got everything once, so that changes make sense to it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the view said in one turn."""

    live: Mapping[int, Live]
    alerts: Mapping[str, AlertView]
    status: Mapping[str, object]


def message(event: str, body: Mapping[str, object]) -> bytes:
    """One server-sent event (WHATWG HTML, 9.2). JSON has no line break of its own, so one data line is enough."""
    return b"event: " + event.encode() + b"\ndata: " + encode(body) + b"\n\n"


def changes(before: Seen, now: Seen) -> dict[str, object]:
    """What is different, by part; empty if nothing is."""
    series: list[object] = []
    values: list[object] = []
    for key, row in now.live.items():
        old = before.live.get(key)
        if old is None or _still(old) != _still(row):
            series.append(plain.live(row))
        elif old != row:
            values.append(plain.value(row))
    found: dict[str, object] = {
        "series": series,
        "values": values,
        "gone": [key for key in before.live if key not in now.live],
        "alerts": [plain.alert(row) for key, row in now.alerts.items() if before.alerts.get(key) != row],
        "status": {key: part for key, part in now.status.items() if before.status.get(key) != part},
    }
    found = {key: part for key, part in found.items() if part}
    if list(before.alerts) != list(now.alerts):
        found["order"] = list(now.alerts)
    return found


def _still(row: Live) -> dict[str, object]:
    return {key: part for key, part in row.items() if key not in _MOVING}


class Feed:
    """Reads the view once a turn and hands out the difference. All of it runs in the console's event loop."""

    def __init__(self, asking: Asking, version: str, clock: Callable[[], int] = time.time_ns) -> None:
        self._asking = asking
        self._version = version
        self._clock = clock
        self._listeners: set[Listener] = set()
        self._wake = asyncio.Event()
        self._seen = Seen({}, {}, {})
        self._turn = 0
        self._told_at = 0.0
        self._is_waiting = False
        self._closed = False

    def join(self) -> Listener | None:
        """A new listener; None if there are as many as there may be, or the console is closing."""
        if self._closed or len(self._listeners) >= MOST_LISTENERS:
            return None
        listener = Listener()
        self._listeners.add(listener)
        self._wake.set()
        return listener

    def leave(self, listener: Listener) -> None:
        """It went away."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        for listener in list(self._listeners):
            self._end(listener)

    async def run(self) -> None:
        """Turn for ever. Raises what the view raises; a view that is only slow is waited for."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._listeners:
                await self._one_turn()
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(EVERY_S):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _one_turn(self) -> None:
        before, fresh = self._seen, any(not listener.knows for listener in self._listeners)
        with_status = fresh or self._turn % STATUS_TURNS == 0
        self._turn += 1
        try:
            now = self._seen = await self._asking.ask(lambda view: self._look(view, before, with_status))
        except TimeoutError:
            if not self._is_waiting:
                log.warning("the console's page waits: the journal did not answer in time")
            self._is_waiting = True
            return
        self._is_waiting = False
        self._tell(before, now)

    @staticmethod
    def _look(view: View, before: Seen, with_status: bool) -> Seen:
        return Seen(
            {row["id"]: row for row in view.live()},
            {row["id"]: row for row in view.alerts(MOST_ALERTS)},
            view.status() if with_status else before.status,
        )

    def _tell(self, before: Seen, now: Seen) -> None:
        stamp = {"now": str(self._clock())}
        different = changes(before, now) if any(listener.knows for listener in self._listeners) else {}
        is_due = time.monotonic() - self._told_at >= BEAT_S
        news = message("change", stamp | different) if different else message("beat", stamp) if is_due else b""
        whole = b""
        for listener in list(self._listeners):
            if listener.knows:
                if news:
                    self._put(listener, news)
                continue
            whole = whole or self._whole(stamp, now)
            listener.knows = True
            self._put(listener, whole)
        if news:
            self._told_at = time.monotonic()

    def _whole(self, stamp: Mapping[str, str], now: Seen) -> bytes:
        everything = {
            **stamp,
            "version": self._version,
            "series": [plain.live(row) for row in now.live.values()],
            "alerts": [plain.alert(row) for row in now.alerts.values()],
            "order": list(now.alerts),
            "status": now.status,
        }
        return b"retry: 2000\n" + message("all", everything)

    def _put(self, listener: Listener, news: bytes) -> None:
        if listener.messages.qsize() >= MOST_WAITING:
            self._end(listener)
        else:
            listener.messages.put_nowait(news)

    def _end(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        while not listener.messages.empty():
            listener.messages.get_nowait()
        listener.messages.put_nowait(None)
